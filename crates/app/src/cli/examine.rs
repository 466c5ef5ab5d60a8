//! What can be typed behind `doctor` and `support`.

use super::arguments::FormatArgument;
use clap::Args;
use std::path::PathBuf;

#[derive(Args, Clone, Debug)]
pub struct DoctorArguments {
    /// The cluster; the configuration's when none is given
    pub cluster: Option<String>,
    #[command(flatten)]
    pub format: FormatArgument,
}

#[derive(Args, Clone, Debug)]
pub struct SupportArguments {
    /// The cluster; the configuration's when none is given
    pub cluster: Option<String>,
    /// The bundle; a name with the time in it, in the present directory, when none is given
    #[arg(short, long, value_name = "FILE.tar.gz")]
    pub output: Option<PathBuf>,
}
