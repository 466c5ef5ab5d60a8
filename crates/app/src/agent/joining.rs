//! What a member does whose configuration is in a home of `quorate setup` or `quorate join`: it lets others in, while it has
//! the authority's key, and renews its own certificate.

use super::World;
use crate::certificates::Certificates;
use crate::join::{Desk, Home, Renewal, keep_renewed};
use config::MemberConfig;
use console::Joining;
use std::path::Path;
use std::sync::Arc;
use tokio::sync::watch;

/// Nothing that has a token or a certificate in it is answered without TLS.
pub fn desk(config_path: &Path, certificates: &Certificates) -> Option<Arc<dyn Joining>> {
    certificates.rest.as_ref()?;
    Some(Arc::new(Desk::new(Home::of_config(config_path)?)))
}

/// The receiver sees a change after each new certificate.
pub fn keep_certificate(world: &World) -> watch::Receiver<()> {
    let (sender, renewed) = watch::channel(());
    let Some(home) = Home::of_config(&world.config_path).filter(|home| is_ours(home, &world.member)) else {
        return renewed;
    };
    let renewal = Renewal {
        home,
        member: world.member.name.clone(),
        tls: world.member.ctl.tls.clone(),
        look_again: world.look_again.clone(),
    };
    let stopped = world.stop.clone();
    tokio::spawn(async move { stopped.run_until_cancelled(keep_renewed(renewal, sender)).await });
    renewed
}

/// Certificates from elsewhere are renewed by whoever made them.
fn is_ours(home: &Home, member: &MemberConfig) -> bool {
    let files = home.tls();
    let whole = |path: &Path| std::path::absolute(path).ok();
    member.restapi.tls.as_ref().is_some_and(|tls| {
        whole(&tls.certfile) == whole(&files.certificate) && whole(&tls.keyfile) == whole(&files.key)
    })
}
