//! A data channel with nothing on it, between two connections of this process.

use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use bytes::BytesMut;
use sazanami_bench::process::Process;
use sazanami_bench::report::figure;
use sazanami_core::transport::{MAX_FRAME, SEND_BUFFER};
use tokio::sync::mpsc;
use webrtc::data_channel::{DataChannel, DataChannelEvent, RTCDataChannelInit};
use webrtc::peer_connection::{
    PeerConnection, PeerConnectionBuilder, PeerConnectionEventHandler, RTCConfigurationBuilder,
    RTCIceGatheringState, RTCSessionDescription, SettingEngineBuilder,
};
use webrtc::runtime::TokioRuntime;

/// Says when all candidates are known: they stand in the descriptions then.
struct Gathered(mpsc::Sender<()>);

#[async_trait::async_trait]
impl PeerConnectionEventHandler for Gathered {
    async fn on_ice_gathering_state_change(&self, state: RTCIceGatheringState) {
        if state == RTCIceGatheringState::Complete {
            let _ = self.0.try_send(());
        }
    }
}

struct End {
    connection: Arc<dyn PeerConnection>,
    channel: Arc<dyn DataChannel>,
    gathered: mpsc::Receiver<()>,
}

impl End {
    async fn new() -> Result<Self> {
        let (sender, gathered) = mpsc::channel(1);
        let settings = SettingEngineBuilder::new()
            .with_include_loopback_candidate(true)
            .build();
        let connection: Arc<dyn PeerConnection> = Arc::new(
            PeerConnectionBuilder::new()
                .with_configuration(RTCConfigurationBuilder::new().build())
                .with_setting_engine(settings)
                .with_runtime(Arc::new(TokioRuntime))
                .with_handler(Arc::new(Gathered(sender)))
                .with_udp_addrs(vec!["127.0.0.1:0"])
                .with_data_channel_send_buffer_limit(SEND_BUFFER)
                .build()
                .await?,
        );
        let init = RTCDataChannelInit {
            negotiated: Some(0),
            ..RTCDataChannelInit::default()
        };
        let channel = connection.create_data_channel("bare", Some(init)).await?;
        Ok(Self {
            connection,
            channel,
            gathered,
        })
    }

    async fn describe(&mut self, description: RTCSessionDescription) -> Result<RTCSessionDescription> {
        self.connection.set_local_description(description).await?;
        self.gathered.recv().await.context("gathering never ends")?;
        self.connection
            .local_description()
            .await
            .context("it has just been set")
    }
}

/// Sends so many bytes in frames of our size and prints how fast they came.
pub(crate) async fn measure(what: &str, bytes: usize) -> Result<()> {
    let (mut from, mut to) = (End::new().await?, End::new().await?);
    let offer = from.connection.create_offer(None).await?;
    let offer = from.describe(offer).await?;
    to.connection.set_remote_description(offer).await?;
    let answer = to.connection.create_answer(None).await?;
    let answer = to.describe(answer).await?;
    from.connection.set_remote_description(answer).await?;
    for end in [&from, &to] {
        while !matches!(end.channel.poll().await, Some(DataChannelEvent::OnOpen)) {}
    }

    let (begun, cpu) = (Instant::now(), Process::own().cpu_seconds());
    let channel = from.channel.clone();
    let sending = tokio::spawn(async move {
        for _ in 0..bytes / MAX_FRAME {
            channel.send(BytesMut::zeroed(MAX_FRAME)).await?;
        }
        anyhow::Ok(())
    });
    let mut came = 0;
    while came < bytes / MAX_FRAME * MAX_FRAME {
        match to.channel.poll().await {
            Some(DataChannelEvent::OnMessage(message)) => came += message.data.len(),
            Some(DataChannelEvent::OnClose) | None => bail!("the channel closed"),
            Some(_) => {}
        }
    }
    sending.await??;
    let (size, took) = (came as f64 / 1e6, begun.elapsed().as_secs_f64());
    figure(what, size / took, "MB/s");
    let cpu = Process::own().cpu_seconds() - cpu;
    figure(format!("{what}/both sides' cpu"), cpu * 1e6 / size, "µs/MB");
    from.connection.close().await?;
    to.connection.close().await?;
    Ok(())
}
