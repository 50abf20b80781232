# English. The same messages with the same variables stand in ja.ftl.

app-name = Sazanami
starting = Opening your posts…
loading = Loading…
retry = Try again
close = Close
back = Back
cancel = Cancel
copied = Copied
copy-failed = Could not copy. Select the text and copy it by hand.

failed-title = Sazanami could not start
failed-session = The place where your posts are kept could not be opened.
failed-do = Reload the page, or close and open the app again. What you have written stays on this device.
failed-detail = Details
elsewhere-title = Waiting for another tab
elsewhere-text = Another tab or window has your posts open and does not answer. Please close it: this one then goes on by itself.
ephemeral-title = Nothing will be kept on this device.
ephemeral-text = This browser window offers no lasting storage (a private window, perhaps). Everything works, but your key and posts are gone from here when you close it.
recovered-title = The storage on this device was damaged.
recovered-text = { $events ->
    [one] One entry (post, profile, reaction) could be read and is kept.
   *[other] { $count } entries (posts, profiles, reactions) could be read and are kept.
} What is missing comes back from others where they hold it. The damaged file is still here.
recovered-done = OK
storage-full-title = The storage is full.
storage-full-text = Your own posts are still kept; posts of others are not taken in until there is space again.

welcome-lead = A social network with no company in the middle.
welcome-more = Your posts live on your own device and ripple from person to person. No account, no e-mail, no password.
welcome-name = Your name
welcome-name-hint = Anything you like. You can change it later.
welcome-start = Start
welcome-have-key = I already have a key
welcome-no-key = I am new here
welcome-key = Your secret key
welcome-key-hint = It begins with nsec1. Paste it here; it never leaves this device.
welcome-use-key = Use this key

skip-to-posts = Skip to posts
main-label = Posts
nav-label = Main
side-label = You and the network
own-profile = Your profile
own-open = Profile

tabs-label = Timelines
tab-everyone = Everyone
tab-following = Following
timeline-label = Posts
timeline-new = { $count ->
    [one] 1 new post
   *[other] { $count } new posts
}
timeline-older = Show older
timeline-end = That is everything that has arrived here.
timeline-failed = The posts could not be read.
empty-everyone-title = Still water
empty-everyone-text = Write the first post. Then open this same address in another browser, or send it to a friend: you will find each other by yourselves.
empty-following-title = Nobody followed yet
empty-following-text = Press a name under “Everyone” and choose “Follow”. Their posts gather here.

compose-form = Write a post
compose-label = New post
compose-placeholder = What is rippling today?
compose-post = Post
compose-hint = Ctrl + Enter
compose-failed = Not posted.
compose-left = { $count ->
    [one] 1 character left
   *[other] { $count } characters left
}
compose-over = { $count ->
    [one] 1 character too many
   *[other] { $count } characters too many
}
compose-too-long = The post is too long
posted = Posted
deleted = Deleted
announce-note = { $name }: { $text }
announce-notes = { $count ->
    [one] 1 new post
   *[other] { $count } new posts
}

note-delete = Delete
note-delete-of = Delete this post by { $name }
note-show-all = Show all
person-unnamed = No name yet
time-now = now
time-minutes = { $count } min
time-hours = { $count } h
time-days = { $count } d
time-date = { $day } { $month ->
    [1] Jan
    [2] Feb
    [3] Mar
    [4] Apr
    [5] May
    [6] Jun
    [7] Jul
    [8] Aug
    [9] Sep
    [10] Oct
    [11] Nov
   *[12] Dec
}
time-date-year = { $day } { $month ->
    [1] Jan
    [2] Feb
    [3] Mar
    [4] Apr
    [5] May
    [6] Jun
    [7] Jul
    [8] Aug
    [9] Sep
    [10] Oct
    [11] Nov
   *[12] Dec
} { $year }
time-full = { $day } { $month ->
    [1] January
    [2] February
    [3] March
    [4] April
    [5] May
    [6] June
    [7] July
    [8] August
    [9] September
    [10] October
    [11] November
   *[12] December
} { $year }, { $time }

notes-count = { $count ->
    [one] 1 post
   *[other] { $shown } posts
}
follows-count = Following { $count ->
    [0] nobody yet
   *[other] { $shown }
}
profile-title = Profile
profile-npub = Public key
profile-copy = Copy public key
profile-notes = Posts
profile-empty = No posts have arrived here yet.
follow = Follow
unfollow = Following
rename = Change name
rename-save = Save

delete-title = Delete this post?
delete-text = It disappears here, and everyone who holds a copy is asked to delete it too. Whoever has read it has read it.
delete-confirm = Delete

key-card-title = Keep your key safe
key-card-text = Your key is you. With it you can come back on any device; without it, nobody can restore your name.
key-card-save = Save the key
key-card-later = Later
key-title = Your secret key
key-text = This key is your account. Keep it where you keep other important things, such as a password manager.
key-warning = Never show it to anyone: whoever has it can write as you.
key-show = Show the key
key-secret = Secret key
key-copy = Copy
key-download = Save as a file
key-saved = Saved as a file.
key-saved-at = Saved: { $place }
key-save-failed = The file could not be saved. Copy the key instead.
key-done = I have kept it
key-file = Sazanami key

    Secret key (never show it to anyone):
    { $nsec }

    Public key (you may share it):
    { $npub }

settings-title = Settings
settings-language = Language
settings-theme = Appearance
routes-title = Connect directly
routes-text = Directly is faster, but whoever is connected directly can see this device’s IP address, and so roughly where you are. The others go through a relay, which can read nothing.
routes-forced = This session was started with one way for everybody.
ring-me = My own devices
ring-friend = Friends (you follow each other)
ring-followed = People I follow
ring-room = Members of my rooms
ring-friend-of-friend = People my friends follow
ring-stranger = Everybody else
settings-key = Your key
settings-key-text = Keep a copy, so that you can come back on another device.
theme-system = As the system
theme-light = Light
theme-dark = Dark

network-title = Network
network-text = You exchange posts with these people’s devices. Nothing is stored in between.
status-open = Show the network
status-alone = Looking for others
status-connecting = Connecting
status-offline = Offline
status-peers = { $count ->
    [one] 1 connected
   *[other] { $count } connected
}
signal-online = The meeting point is reachable.
signal-connecting = Looking for the meeting point…
signal-offline = The meeting point cannot be reached. What you write is kept and travels on later.
servers-title = Meeting points
servers-text = Devices find each other there; posts do not pass through. With more than one, any of them may fail.
servers-add-label = Address of another meeting point
servers-add = Add
servers-added = The meeting point has been added.
servers-remove = Remove
servers-remove-label = Remove { $server }
servers-removed = { $server } has been removed.
servers-recommended = recommended
server-online = connected
server-connecting = connecting
server-offline = cannot be reached
meet-title = Connect without a meeting point
meet-open-text = No meeting point can be reached, or you would rather use none?
meet-text = Two devices can connect by two texts or QR codes that you give each other. It takes both of you, at the same time.
meet-warning = The texts tell the internet addresses of your device, and using an invitation shows them to whoever made it. Do this only with people you trust.
meet-invite = Make an invitation
meet-given = Were you given an invitation? Paste it here.
meet-reply-given = Paste their reply here.
meet-use = Use it
meet-preparing = Finding out how this device can be reached…
meet-invitation = Give this to the other person, as a picture or as a text. They give you a reply. It holds for ten minutes.
meet-invitation-label = Your invitation
meet-reply = Give this back to the person who invited you. Once they use it, you are connected. It holds for ten minutes.
meet-reply-label = Your reply
meet-copy = Copy the text
meet-connecting = Connecting…
meet-connected = You are connected, with no server in between.
meet-failed = No way to the other device was found, or the connection has ended. Try again: two new texts are needed.
meet-give-up = Give up
meet-again = Connect with someone else
refused-version = The meeting point speaks another version. Reload the page or update the app.
refused-proof = The meeting point does not believe this device. Check its clock.
refused-rate = Too much at once for the meeting point. It goes on in a moment.
refused-topics = The meeting point cannot look for more friends at once.
refused-connections = The meeting point is full, or too many come from your network. It is tried again by itself.
refused-time = The meeting point heard nothing from this device for too long.
refused-message = The meeting point did not understand this app. Reload the page or update the app.
peers-label = Connected devices
peers-empty = Nobody is here at the moment. As soon as someone opens Sazanami, you will be connected.
peer-unknown = Someone
peer-live = up to date
peer-syncing = exchanging posts
peer-greeting = greeting
peer-connecting = connecting
peer-rtt = Round-trip time
milliseconds = { $count } ms
path-direct = direct
path-relayed = relayed
route-any = directly if possible
route-relay = through a relay
no-relay = This meeting point offers no relay that this device can use, so people who must not learn your address are not connected. You can allow a direct connection under Settings.
path-direct-text = straight from device to device
path-relayed-text = through a relay that cannot read anything: neither side learns the other’s address, or there is no straight way

error-text-empty = Write something first.
error-text-long = It is too long.
error-name-empty = Enter a name. A nickname will do.
error-name-long = The name is too long: at most { $count } characters.
error-not-a-key = This is not a secret key. It begins with nsec1 and has 63 characters.
error-no-identity = There is no key on this device yet. Reload and start again.
error-already-signed-up = There is already a key on this device.
error-not-yet-synced = Your profile has not arrived on this device yet. Wait until somebody is connected, then try again.
error-not-a-server = This is not the address of a meeting point. It looks like example.org.
error-too-many-servers = No more meeting points can be used at once. Remove one first.
error-not-an-invitation = This is no invitation and no reply, or not all of it. Copy the whole text.
error-not-for-this-device = This is meant for another device or for an earlier invitation. Give each other new texts.
error-invitation-expired = This has expired. Ask for a new one.
error-own-invitation = This is your own invitation. The other person is to use it.
error-already-connected = You are connected with this device already.
error-not-yours = Only your own posts can be deleted.
error-not-here = This post is not on this device (any more).
error-file-large = This file is too large. It can have 64 MB at most.
error-full = There is no space left on this device. Free some and try again.
error-damaged = The storage on this device is damaged. It is being put together again: try once more in a moment.
error-storage = It could not be saved on this device. Try again; if it happens again, reload.
error-no-transfer = No export or import is running.
error-not-an-export = This file does not hold posts: choose a .tar or .jsonl file from an export.
error-incomplete-file = The file ends in the middle. What was in it has been added.
error-hostile-file = Too much of this file is broken or forged. What was good has been added.
error-stopped = Sazanami has stopped working here. Reload the page or open the app again.
