//! The binary `stationkeeper`: reads the command line, sets up logging, runs the verb.

use std::process::ExitCode;

use anyhow::Context as _;
use clap::Parser;
use stationkeeper::cli::{Cli, dispatch};
use stationkeeper::logs::{self, LogFormat};

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(usage) => {
            // Where even this cannot be printed, the code has to do.
            let _ = usage.print();
            // 2 says that there is something to mend in what was looked at; here nothing was.
            return ExitCode::from(u8::from(usage.use_stderr()));
        }
    };
    match start(cli) {
        Ok(code) => code,
        Err(error) => {
            #[expect(
                clippy::print_stderr,
                reason = "the last word of a command that failed is for its user"
            )]
            {
                eprintln!("error: {error:#}");
            }
            ExitCode::from(1)
        }
    }
}

fn start(cli: Cli) -> anyhow::Result<ExitCode> {
    let format = cli.log_format.unwrap_or_else(LogFormat::usual);
    logs::to_stderr(&cli.log, format).context("failed to set up --log")?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let code = runtime.block_on(dispatch(cli.verb));
    // Nothing of ours is left running by then; what a library left must not keep the process.
    runtime.shutdown_timeout(std::time::Duration::from_secs(1));
    code
}
