//! The two listeners, and the file that says where they are.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde_json::json;
use tokio::net::TcpListener;

use crate::config::Config;

/// The file in the data directory that says where the running daemon listens.
pub(super) const ABOUT_FILE: &str = "daemon.json";

/// A port that cannot be had.
#[derive(Debug, thiserror::Error)]
#[error(
    "cannot listen on {address} ({key}): {source}; set {key} to another port, or to 0 for any free one"
)]
pub(super) struct PortError {
    address: SocketAddr,
    key: &'static str,
    source: std::io::Error,
}

/// The listeners, not yet served.
#[derive(Debug)]
pub(super) struct Listeners {
    pub(super) api: TcpListener,
    pub(super) metrics: TcpListener,
}

impl Listeners {
    /// Takes both ports.
    pub(super) async fn bind(config: &Config) -> Result<Self, PortError> {
        let (server, monitoring) = (config.server(), config.monitoring());
        let api = SocketAddr::new(server.host, server.port);
        let metrics = SocketAddr::new(monitoring.metrics_host, monitoring.metrics_port);
        Ok(Self {
            api: listen(api, "server.port").await?,
            metrics: listen(metrics, "monitoring.metrics_port").await?,
        })
    }
}

async fn listen(address: SocketAddr, key: &'static str) -> Result<TcpListener, PortError> {
    let bound = TcpListener::bind(address).await;
    bound.map_err(|source| PortError {
        address,
        key,
        source,
    })
}

/// Says where the daemon listens, for as long as it lives.
#[derive(Debug)]
pub(super) struct About(PathBuf);

impl About {
    /// Writes the file aside and renames it, so that nobody reads half of it.
    pub(super) fn write(
        data_dir: &Path,
        api: SocketAddr,
        metrics: SocketAddr,
    ) -> std::io::Result<Self> {
        let about = json!({
            "pid": std::process::id(),
            "api": api.to_string(),
            "metrics": metrics.to_string(),
        });
        let path = data_dir.join(ABOUT_FILE);
        let aside = data_dir.join(format!("{ABOUT_FILE}.new"));
        std::fs::write(&aside, format!("{about}\n"))?;
        std::fs::rename(&aside, &path)?;
        Ok(Self(path))
    }
}

impl Drop for About {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_file(&self.0) {
            tracing::debug!(%error, path = %self.0.display(), "not removed");
        }
    }
}
