# 日本語。en.ftl と同じメッセージ、同じ変数を持つ。

app-name = さざなみ
starting = 投稿を開いています…
loading = 読み込み中…
retry = もう一度試す
close = 閉じる
back = 戻る
cancel = キャンセル
copied = コピーしました
copy-failed = コピーできませんでした。文字を選択してコピーしてください。

failed-title = さざなみを始められませんでした
failed-session = 投稿の保存場所を開けませんでした。
failed-do = ページを再読み込みするか、アプリを開き直してください。書いたものはこの端末に残っています。
failed-detail = 詳細
elsewhere-title = 別のタブを待っています
elsewhere-text = 別のタブかウィンドウが投稿を開いたまま、応答していません。そのタブを閉じてください。このタブは自動で続きから始まります。
ephemeral-title = この端末には何も残りません。
ephemeral-text = このウィンドウでは保存領域が使えません（プライベートウィンドウなど）。ふつうに使えますが、閉じると鍵も投稿もここから消えます。
recovered-title = この端末の保存データが壊れていました。
recovered-text = { $events ->
   *[other] 読み取れた{ $count }件（投稿・プロフィール・リアクションなど）は残っています。足りない分は、持っている人から届きます。壊れたファイルもそのまま残してあります。
}
recovered-done = わかりました
storage-full-title = 保存領域がいっぱいです。
storage-full-text = 自分の投稿は引き続き保存されますが、ほかの人の投稿は空きができるまで受け取れません。

welcome-lead = 会社を介さない、人と人のSNS。
welcome-more = 投稿はあなたの端末にあり、波紋のように人から人へ伝わります。アカウントもメールもパスワードもいりません。
welcome-name = お名前
welcome-name-hint = 好きな名前でかまいません。あとから変えられます。
welcome-start = はじめる
welcome-have-key = すでに鍵を持っています
welcome-no-key = はじめて使います
welcome-key = 秘密鍵
welcome-key-hint = nsec1 で始まる文字列です。ここに貼り付けてください。この端末の外には出ません。
welcome-use-key = この鍵を使う

skip-to-posts = 投稿へ移動
main-label = 投稿
nav-label = メイン
side-label = あなたとネットワーク
own-profile = あなたのプロフィール
own-open = プロフィール

tabs-label = タイムライン
tab-everyone = みんな
tab-following = フォロー中
timeline-label = 投稿
timeline-new = 新しい投稿 { $count }件
timeline-older = さらに前の投稿
timeline-end = ここに届いている投稿は以上です。
timeline-failed = 投稿を読み込めませんでした。
empty-everyone-title = 静かな水面です
empty-everyone-text = 最初の投稿を書いてみましょう。それから別のブラウザーで同じアドレスを開くか、友だちに送ってください。おたがいを自動で見つけます。
empty-following-title = まだ誰もフォローしていません
empty-following-text = 「みんな」で名前を押して「フォローする」を選ぶと、その人の投稿がここに集まります。

compose-form = 投稿を書く
compose-label = 新しい投稿
compose-placeholder = いま、どんな波が立っていますか
compose-post = 投稿
compose-hint = Ctrl + Enter
compose-failed = 投稿できませんでした。
compose-left = あと{ $count }文字
compose-over = { $count }文字超えています
compose-too-long = 長すぎます
posted = 投稿しました
deleted = 削除しました
announce-note = { $name }さん：{ $text }
announce-notes = 新しい投稿 { $count }件

note-delete = 削除
note-delete-of = { $name }さんのこの投稿を削除
note-show-all = すべて表示
person-unnamed = 名前なし
time-now = たった今
time-minutes = { $count }分前
time-hours = { $count }時間前
time-days = { $count }日前
time-date = { $month }月{ $day }日
time-date-year = { $year }年{ $month }月{ $day }日
time-full = { $year }年{ $month }月{ $day }日 { $time }

notes-count = 投稿 { $count ->
   *[other] { $shown }
}件
follows-count = { $count ->
    [0] まだ誰もフォローしていません
   *[other] { $shown }人をフォロー
}
profile-title = プロフィール
profile-npub = 公開鍵
profile-copy = 公開鍵をコピー
profile-notes = 投稿
profile-empty = まだ投稿は届いていません。
follow = フォローする
unfollow = フォロー中
rename = 名前を変える
rename-save = 保存

delete-title = この投稿を削除しますか？
delete-text = ここから消え、写しを持つ人たちにも削除をお願いします。すでに読まれたことは取り消せません。
delete-confirm = 削除する

key-card-title = 鍵を保管しましょう
key-card-text = 鍵はあなた自身です。鍵があればどの端末でも戻ってこられます。なくすと、誰にも元に戻せません。
key-card-save = 鍵を保存
key-card-later = あとで
key-title = あなたの秘密鍵
key-text = この鍵があなたのアカウントです。パスワード管理アプリなど、大切なものを置く場所に保管してください。
key-warning = 誰にも見せないでください。鍵を持つ人は、あなたとして投稿できます。
key-show = 鍵を表示
key-secret = 秘密鍵
key-copy = コピー
key-download = ファイルに保存
key-saved = ファイルに保存しました。
key-saved-at = 保存しました：{ $place }
key-save-failed = ファイルに保存できませんでした。代わりに鍵をコピーしてください。
key-done = 保管しました
key-file = さざなみの鍵

    秘密鍵（誰にも見せないでください）：
    { $nsec }

    公開鍵（人に教えてかまいません）：
    { $npub }

settings-title = 設定
settings-language = 言語
settings-theme = 外観
routes-title = 直接つなぐ相手
routes-text = 直接つなぐと速くなりますが、相手にこの端末のIPアドレスが見え、おおよその居場所が伝わります。ほかの人とは、中身を読めない中継を通してつながります。
routes-forced = 今回は、全員と同じつなぎ方で起動しています。
ring-me = 自分の端末
ring-friend = 友だち（お互いにフォロー）
ring-followed = フォローしている人
ring-room = 同じルームの人
ring-friend-of-friend = 友だちがフォローしている人
ring-stranger = そのほかの人
settings-key = あなたの鍵
settings-key-text = 写しを保管しておけば、別の端末でも戻ってこられます。
theme-system = システムに合わせる
theme-light = ライト
theme-dark = ダーク

network-title = ネットワーク
network-text = この人たちの端末と投稿をやりとりしています。途中には何も保存されません。
status-open = ネットワークを表示
status-alone = 相手を探しています
status-connecting = 接続しています
status-offline = オフライン
status-peers = { $count }人と接続中
signal-online = 待ち合わせ場所につながっています。
signal-connecting = 待ち合わせ場所を探しています…
signal-offline = 待ち合わせ場所につながりません。書いたものは保存され、あとで届きます。
servers-title = 待ち合わせ場所
servers-text = 端末どうしが出会うための場所です。投稿はここを通りません。いくつか使うと、どれかが止まってもつながります。
servers-add-label = ほかの待ち合わせ場所のアドレス
servers-add = 追加
servers-added = 待ち合わせ場所を追加しました。
servers-remove = 外す
servers-remove-label = { $server } を外す
servers-removed = { $server } を外しました。
servers-recommended = おすすめ
server-online = 接続中
server-connecting = 接続しています
server-offline = つながりません
meet-title = 待ち合わせ場所なしでつなぐ
meet-open-text = 待ち合わせ場所につながらないとき、使いたくないときは、直接つなぐこともできます。
meet-text = 2つの文字列かQRコードを渡し合うと、2台の端末をつなげます。2人とも同じときに操作してください。
meet-warning = 文字列には、この端末のインターネット上のアドレスが含まれます。招待を使うと、つくった人にもアドレスが伝わります。信頼できる相手とだけ行ってください。
meet-invite = 招待をつくる
meet-given = 招待を受け取った方は、ここに貼り付けてください。
meet-reply-given = 相手からの返事を、ここに貼り付けてください。
meet-use = つなぐ
meet-preparing = この端末への道順を調べています…
meet-invitation = これを画像か文字列のまま相手に渡してください。相手から返事が届きます。10分間使えます。
meet-invitation-label = あなたの招待
meet-reply = これを招待してくれた人に返してください。相手が使うと、つながります。10分間使えます。
meet-reply-label = あなたの返事
meet-copy = 文字列をコピー
meet-connecting = つないでいます…
meet-connected = あいだにサーバーを置かずに、つながりました。
meet-failed = 相手の端末への道が見つからないか、接続が切れました。新しい文字列でもう一度お試しください。
meet-give-up = やめる
meet-again = ほかの人とつなぐ
refused-version = 待ち合わせ場所のバージョンが違います。再読み込みするか、アプリを更新してください。
refused-proof = 待ち合わせ場所がこの端末を確認できません。時計が合っているか確かめてください。
refused-rate = 待ち合わせ場所への送信が一度に多すぎます。少し待つと再開します。
refused-topics = 待ち合わせ場所では、これ以上の友だちを一度に探せません。
refused-connections = 待ち合わせ場所が満員か、同じネットワークからの接続が多すぎます。自動でもう一度試します。
refused-time = この端末からの通信が長いあいだ途絶えていました。
refused-message = 待ち合わせ場所がこのアプリの通信を理解できません。再読み込みするか、アプリを更新してください。
peers-label = 接続中の端末
peers-empty = 今は誰もいません。誰かがさざなみを開くと、自動でつながります。
peer-unknown = 相手
peer-live = 最新
peer-syncing = 投稿を交換中
peer-greeting = あいさつ中
peer-connecting = 接続中
peer-rtt = 往復時間
milliseconds = { $count } ms
path-direct = 直接
path-relayed = 中継
route-any = できれば直接
route-relay = 中継を通す
no-relay = この待ち合わせ場所には、この端末で使える中継がありません。そのため、あなたのアドレスを知らせない相手とはつながりません。設定で、直接の接続を許すことができます。
path-direct-text = 端末から端末へまっすぐ届きます
path-relayed-text = 中身を読めない中継を通ります。お互いのアドレスを知らせないため、またはまっすぐな道がないためです

error-text-empty = 何か書いてください。
error-text-long = 長すぎます。
error-name-empty = お名前を入力してください。ニックネームでかまいません。
error-name-long = お名前が長すぎます。{ $count }文字までです。
error-not-a-key = 秘密鍵ではありません。nsec1 で始まる63文字です。
error-no-identity = この端末にはまだ鍵がありません。再読み込みして、はじめからお試しください。
error-already-signed-up = この端末にはすでに鍵があります。
error-not-yet-synced = あなたのプロフィールがまだこの端末に届いていません。誰かとつながってから、もう一度お試しください。
error-not-a-server = 待ち合わせ場所のアドレスではありません。example.org のような形です。
error-too-many-servers = 同時に使える待ち合わせ場所の数を超えます。先にどれかを外してください。
error-not-an-invitation = 招待でも返事でもないか、一部が欠けています。文字列をすべてコピーしてください。
error-not-for-this-device = ほかの端末あて、または前の招待への返事です。新しい文字列を渡し合ってください。
error-invitation-expired = 期限が切れています。新しいものをもらってください。
error-own-invitation = これはあなた自身の招待です。相手に使ってもらってください。
error-already-connected = この端末とは、すでにつながっています。
error-not-yours = 削除できるのは自分の投稿だけです。
error-not-here = この投稿は、この端末には（もう）ありません。
error-file-large = このファイルは大きすぎます。64 MBまで扱えます。
error-full = この端末の空き容量がありません。空きを作ってから、もう一度お試しください。
error-damaged = この端末の保存データが壊れています。直しているので、少し待ってからもう一度お試しください。
error-storage = この端末に保存できませんでした。もう一度お試しください。続くときは再読み込みしてください。
error-no-transfer = 書き出しも読み込みも行われていません。
error-not-an-export = このファイルには投稿がありません。書き出した .tar または .jsonl ファイルを選んでください。
error-incomplete-file = ファイルが途中で終わっています。含まれていた分は追加しました。
error-hostile-file = このファイルには壊れた部分や偽造された部分が多すぎます。正しかった分は追加しました。
error-stopped = さざなみが止まりました。ページを再読み込みするか、アプリを開き直してください。
