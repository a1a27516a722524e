//! Operations of the store on what agents spend.
//!
//! Each forwards to the backend; what it does stands there.

use super::sqlite::spend;
use super::{Result, Store};
use crate::domain::name::Name;
use crate::domain::spend::{SpendWrite, Stored, Window};

impl Store {
    /// What is stored of an agent's window, every sum that waits to be written included.
    pub async fn spend_window(&self, agent: Name, window: Window) -> Result<Stored> {
        spend::window(self.sqlite(), agent, window).await
    }

    /// Keeps the sum of a window; never makes one smaller.
    pub async fn record_spend(&self, write: SpendWrite) -> Result<()> {
        spend::record(self.sqlite(), write).await
    }
}
