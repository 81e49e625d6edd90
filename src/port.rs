//! Ports of the loopback address.

use std::net::{Ipv4Addr, TcpListener};

use anyhow::{Context as _, Result};

/// One that is free now. Whoever is started to listen there may find it taken, and needs another.
///
/// # Errors
/// When the system has none.
pub fn free() -> Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("find a free port")?;
    Ok(listener.local_addr().context("find a free port")?.port())
}
