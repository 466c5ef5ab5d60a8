//! Whether the member's ports are free.

use super::Server;
use plan::Severity;
use std::io::ErrorKind;
use std::net::{TcpListener, ToSocketAddrs};

impl Server<'_> {
    pub(super) fn ports(&mut self) {
        if self.runs {
            return;
        }
        for open in self.plan.open_ports(&self.own.name) {
            // A name or an address that is not this server's was said already.
            let Ok(mut found) = (self.own.address.as_str(), open.port).to_socket_addrs() else { continue };
            let Some(address) = found.next() else { continue };
            let Err(error) = TcpListener::bind(address) else { continue };
            let field = format!("ports.{}", open.name);
            match error.kind() {
                ErrorKind::AddrInUse => {
                    let message = format!(
                        "port {} of {} is taken by another program ({})",
                        open.port, self.own.address, open.why
                    );
                    let hint = hint(open.port, open.name);
                    self.say(Severity::Error, "setup-port", &field, message, hint);
                }
                ErrorKind::PermissionDenied => {
                    let message = format!("this user may not listen on port {}", open.port);
                    self.say(Severity::Error, "setup-port", &field, message, "use a port above 1023, or root");
                }
                _ => {}
            }
        }
    }
}

fn hint(port: u16, name: &str) -> String {
    match name {
        "postgresql" => "the distribution's own server? systemctl disable --now postgresql".to_owned(),
        "redis" | "sentinel" => format!(
            "the distribution's own server? systemctl disable --now redis-{}",
            if name == "redis" { "server" } else { "sentinel" }
        ),
        _ => format!("see which: ss -ltnp 'sport = :{port}'; or choose another port"),
    }
}
