//! The certificates of a member: opened, handed to whoever listens or connects, and kept fresh.
//!
//! Deliberately no rule about who may do what. The invariant: where the configuration names certificates, nothing is served
//! or asked without them.

use config::{MemberConfig, VerifyClient};
use platform::{RunAs, may_read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;
use tls::{
    ClientCertificates, ClientFiles, ClientTls, HTTP1, HTTP2, Lifetime, Refresh, ServerFiles, ServerTls, TlsError,
    Trust,
};
use wire::node::PeerTls;

/// `None`: plain.
#[derive(Clone, Default)]
pub struct Certificates {
    pub rest: Option<ServerTls>,
    /// The embedded store's clients.
    pub store: Option<ServerTls>,
    pub peers: Option<PeerTls>,
    /// Towards the store, the embedded one or an etcd.
    pub dcs: Option<ClientTls>,
}

impl Certificates {
    /// An error is a sentence for a person, with a hint.
    pub fn open(member: &MemberConfig) -> Result<Self, String> {
        let rest = member.restapi.tls.as_ref().map(|tls| {
            let files = ServerFiles {
                certificate: tls.certfile.clone(),
                key: tls.keyfile.clone(),
                authorities: tls.cafile.clone(),
                clients: match tls.verify_client {
                    VerifyClient::None => ClientCertificates::NotAsked,
                    VerifyClient::Optional | VerifyClient::OrPassword => ClientCertificates::Optional,
                    VerifyClient::Required => ClientCertificates::Required,
                },
            };
            ServerTls::open(files, &[HTTP1]).map_err(|error| sentence("restapi", &error))
        });
        let store = member.store.as_ref();
        let clients =
            store.and_then(|store| Some((store.client_tls.as_ref()?, store.client_cert_auth))).map(|(tls, auth)| {
                let files = ServerFiles {
                    certificate: tls.cert_file.clone(),
                    key: tls.key_file.clone(),
                    authorities: Some(tls.trusted_ca_file.clone()),
                    clients: if auth { ClientCertificates::Required } else { ClientCertificates::NotAsked },
                };
                ServerTls::open(files, &[HTTP2, HTTP1])
                    .map_err(|error| sentence("store.client_transport_security", &error))
            });
        let peers = store.and_then(|store| store.peer_tls.as_ref()).map(|tls| {
            let (certificate, key) = (tls.cert_file.clone(), tls.key_file.clone());
            let authorities = Some(tls.trusted_ca_file.clone());
            let server = ServerFiles {
                certificate: certificate.clone(),
                key: key.clone(),
                authorities: authorities.clone(),
                clients: ClientCertificates::Required,
            };
            let client = ClientFiles { authorities, identity: Some((certificate, key)), ..Default::default() };
            let open = || Ok(PeerTls { server: ServerTls::open(server, &[])?, client: ClientTls::open(client, &[])? });
            open().map_err(|error| sentence("store.peer_transport_security", &error))
        });
        let section = if store.is_some() { "store.client_transport_security" } else { "etcd3" };
        let dcs = member
            .store_client_tls()
            .map(|tls| ClientTls::open(client_files(&tls), &[HTTP2]).map_err(|error| sentence(section, &error)));
        Ok(Self {
            rest: rest.transpose()?,
            store: clients.transpose()?,
            peers: peers.transpose()?,
            dcs: dcs.transpose()?,
        })
    }

    pub fn refreshers(&self) -> Vec<Arc<dyn Refresh>> {
        let servers = self.rest.iter().chain(&self.store).chain(self.peers.as_ref().map(|peers| &peers.server));
        let clients = self.dcs.iter().chain(self.peers.as_ref().map(|peers| &peers.client));
        servers.map(ServerTls::refresher).chain(clients.map(ClientTls::refresher)).collect()
    }

    fn lifetimes(&self) -> Vec<Lifetime> {
        let servers = self.rest.iter().chain(&self.store).chain(self.peers.as_ref().map(|peers| &peers.server));
        servers.filter_map(ServerTls::lifetime).chain(self.dcs.iter().filter_map(ClientTls::lifetime)).collect()
    }
}

/// Before anything starts: everything is there, fits together, is valid now, and may be read by the worker.
pub fn check(member: &MemberConfig, run_as: Option<&RunAs>) -> Result<(), String> {
    let opened = Certificates::open(member)?;
    for lifetime in opened.lifetimes() {
        lifetime.check(SystemTime::now()).map_err(|error| format!("{error}\nhint: {}", error.hint()))?;
    }
    let for_sql = sql_certificates(member)?;
    let Some(user) = run_as else { return Ok(()) };
    match files(member).into_iter().chain(for_sql.iter().map(PathBuf::as_path)).find(|file| !may_read(user, file)) {
        None => Ok(()),
        Some(file) => Err(format!(
            "{}: the user that the worker runs as (uid {}) cannot read it\nhint: chown {} {}",
            file.display(),
            user.uid,
            user.uid,
            file.display()
        )),
    }
}

/// For the users that the agent itself connects as; the replication user is for PostgreSQL's own programs.
fn sql_certificates(member: &MemberConfig) -> Result<Vec<PathBuf>, String> {
    let Some(postgresql) = &member.postgresql else { return Ok(Vec::new()) };
    let authentication = &postgresql.authentication;
    let users = [("superuser", Some(&authentication.superuser)), ("rewind", authentication.rewind.as_ref())];
    let mut files = Vec::new();
    for (name, user) in users.into_iter().filter_map(|(name, user)| Some((name, user?))) {
        let needed = postgres::sql::needed_certificates(&user.parameters)
            .map_err(|error| format!("postgresql.authentication.{name}: {error}\nhint: {}", error.hint()))?;
        files.extend(needed);
    }
    Ok(files)
}

fn files(member: &MemberConfig) -> Vec<&Path> {
    let mut files: Vec<&Path> = Vec::new();
    if let Some(tls) = &member.restapi.tls {
        files.extend([tls.certfile.as_path(), tls.keyfile.as_path()]);
        files.extend(tls.cafile.as_deref().filter(|_| tls.verify_client != VerifyClient::None));
    }
    let store = member.store.as_ref();
    for tls in store.into_iter().flat_map(|store| store.client_tls.iter().chain(&store.peer_tls)) {
        files.extend([tls.cert_file.as_path(), tls.key_file.as_path(), tls.trusted_ca_file.as_path()]);
    }
    if let Some(tls) = member.etcd.as_ref().and_then(|etcd| etcd.tls.as_ref()) {
        files.extend(tls.cacert.as_deref());
        files.extend(tls.identity.iter().flat_map(|(certificate, key)| [certificate.as_path(), key.as_path()]));
    }
    files
}

pub fn client_files(tls: &config::ClientTls) -> ClientFiles {
    let trust = if tls.insecure { Trust::Anybody } else { Trust::Host };
    ClientFiles { authorities: tls.cacert.clone(), identity: tls.identity.clone(), trust }
}

/// An HTTP client for `https` with these certificates.
pub fn http_client(builder: reqwest::ClientBuilder, tls: &ClientTls) -> reqwest::Result<reqwest::Client> {
    builder.use_preconfigured_tls(tls.config()).build()
}

fn sentence(section: &str, error: &TlsError) -> String {
    format!("{section}: {error}\nhint: {}", error.hint())
}
