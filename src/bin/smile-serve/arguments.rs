//! The command line.

use std::net::IpAddr;
use std::path::PathBuf;

use clap::Parser;

use crate::shard::Shard;

/// Keeps many cameras running, shows them with their faces in a browser, and brings the events to files and brokers.
#[derive(Debug, Parser)]
#[command(name = "smile-serve", version, after_help = EXAMPLES)]
pub struct Arguments {
    /// Cameras: rtsp://host/stream, http://host/video.mjpg, /dev/video0, a file, or pattern:ball. Or one configuration
    /// file whose name ends in .toml
    #[arg(value_name = "SOURCE or FILE.toml")]
    pub inputs: Vec<String>,
    /// Says what is wrong with the configuration, by line, and starts nothing
    #[arg(long)]
    pub check: bool,
    /// The port of the page; 0 takes any that is free
    #[arg(long, default_value_t = 8470)]
    pub port: u16,
    /// The address to listen on. All but loopback need --token-file or --proxy-header
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1")]
    pub listen: IpAddr,
    /// A file with the token that every request has to bring: as "Authorization: Bearer TOKEN", or by the page's login
    #[arg(long, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// A header that a proxy in front sets after it has authenticated someone, such as X-Forwarded-User. The proxy has
    /// to remove it from what comes from outside
    #[arg(long, value_name = "NAME")]
    pub proxy_header: Option<String>,
    /// A name under which the page may be asked for, beside localhost and addresses; may be repeated
    #[arg(long = "host", value_name = "NAME")]
    pub hosts: Vec<String>,
    /// Where history, spool and the cameras that were added are kept (default: smile-serve in the state folder of the
    /// user, such as ~/.local/state/smile-serve)
    #[arg(long, value_name = "FOLDER")]
    pub data: Option<PathBuf>,
    /// Starts files again when they end
    #[arg(long = "loop")]
    pub repeat: bool,
    /// Runs only this process's part of the cameras: 3/8 is the third of eight
    #[arg(long, value_name = "K/N")]
    pub shard: Option<Shard>,
    /// Schemes of the sources that may be added through the API
    #[arg(
        long,
        value_name = "SCHEMES",
        value_delimiter = ',',
        default_value = "rtsp,rtsps,http,https,pattern"
    )]
    pub allow: Vec<String>,
}

const EXAMPLES: &str = "\
Examples:
  smile-serve pattern:ball film.mp4 --loop
  smile-serve rtsp://user:password@hall/stream /dev/video0
  smile-serve cameras.toml --check
  smile-serve cameras.toml --listen 0.0.0.0 --token-file token

The log says more with RUST_LOG=debug in the environment.";
