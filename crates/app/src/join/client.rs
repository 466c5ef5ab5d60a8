//! `quorate join`: the side that wants in.
//!
//! The invariants: the key is made here and never sent; the server is believed only with a certificate of the authority that
//! the token names, and nothing is sent before; a set-up of something else is not touched.

use super::arguments::JoinArguments;
use super::enrolment::{self, Enrolment, PORT, VERSION};
use super::home::{self, Home};
use super::start::{How, start};
use super::token::{Refused, Token};
use crate::cli::Failure;
use config::Address;
use pki::Request;
use serde_json::json;
use std::io::{BufRead, IsTerminal};
use std::time::{Duration, SystemTime};
use tls::{HTTP1, pinned_client};
use types::Secret;

const CONNECT_PATIENCE: Duration = Duration::from_secs(10);
const PATIENCE: Duration = Duration::from_secs(30);
/// The CN of a request, which counts for nothing: the token says who this will be.
const NOBODY: &str = "joining";
/// A token has about a hundred characters.
const TOKEN_BYTES_MAX: u64 = 4096;

pub fn join(arguments: &JoinArguments) -> Result<i32, Failure> {
    let text = token_text(arguments)?;
    let token = Token::parse(text.expose())
        .map_err(|why| refused(why, "quorate token MEMBER prints one on the first server"))?;
    if token.expires <= SystemTime::now() {
        return Err(refused(Refused::Expired, "quorate token MEMBER makes another; or this server's clock is wrong"));
    }
    let address = arguments.address.as_deref().unwrap_or_default();
    let address = Address::parse(address, Some(PORT)).map_err(|error| {
        Failure::usage("join-address", format!("'{address}' is not an address: {error}"))
            .hint("quorate join 10.0.0.1 TOKEN")
    })?;
    let home = Home::at(arguments.home.directory.as_deref());
    enrolment::refuse_foreign(&home, token.authority)?;
    // Before the token is used up.
    home.prepare()?;
    can_write(&home)?;
    let request = Request::make(NOBODY).map_err(|error| {
        Failure::new("join-certificate", error.to_string()).hint("quorate support collects what helps to find out why")
    })?;
    let enrolment = ask(&address, &token, &text, &request.request_pem, &home)?;
    enrolment.check(&request.key_pem, token.authority)?;
    enrolment.write(&home, &request.key_pem)?;
    eprintln!(
        "this is {} of {} now; its files are in {}",
        enrolment.member,
        enrolment.cluster,
        home.directory().display()
    );
    start(&home, How::of(&arguments.start))
}

fn token_text(arguments: &JoinArguments) -> Result<Secret, Failure> {
    if let Some(file) = &arguments.token_file {
        return home::read_secret(file)?.ok_or_else(|| {
            Failure::usage("join-file", format!("there is no file {}", file.display()))
                .hint("name the file with the token")
        });
    }
    match arguments.token.as_deref() {
        Some(text) if text != "-" => Ok(Secret::new(text)),
        Some(_) | None => {
            let input = std::io::stdin();
            if input.is_terminal() {
                eprint!("Token: ");
            }
            let mut line = String::new();
            let mut limited = std::io::Read::take(input.lock(), TOKEN_BYTES_MAX);
            std::io::BufReader::new(&mut limited).read_line(&mut line)?;
            Ok(Secret::new(line))
        }
    }
}

fn refused(why: Refused, hint: &str) -> Failure {
    let code = if why == Refused::Expired { "join-token-expired" } else { "join-token" };
    Failure::usage(code, format!("the token cannot be used: {why}")).hint(hint)
}

fn can_write(home: &Home) -> Result<(), Failure> {
    for directory in [home.directory(), home.tls().key.parent().unwrap_or(home.directory())] {
        tempfile::tempfile_in(directory).map_err(|error| home::cannot("write in", directory, &error))?;
    }
    Ok(())
}

fn ask(address: &Address, token: &Token, text: &Secret, request: &str, home: &Home) -> Result<Enrolment, Failure> {
    let body = json!({
        "token": text.expose().trim(),
        "request": request,
        "directory": home.directory(),
        "version": VERSION,
    });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let tls = pinned_client(token.authority.0, &[HTTP1]);
        let tls =
            tls.map_err(|error| Failure::new("join-tls", error.to_string()).hint("this is a fault of Quorate's own"))?;
        let client = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none());
        let client = client.connect_timeout(CONNECT_PATIENCE).timeout(PATIENCE).use_preconfigured_tls(tls).build();
        let client = client
            .map_err(|error| Failure::new("join-tls", error.to_string()).hint("this is a fault of Quorate's own"))?;
        let sent = client.post(format!("https://{address}/join")).json(&body).send().await;
        let answer = sent.map_err(|error| unreachable(address, &error))?;
        let status = answer.status().as_u16();
        if status != 200 {
            return Err(answered(address, status, &answer.text().await.unwrap_or_default()));
        }
        // What cannot be read is not quoted: there are passwords in it.
        answer.json().await.map_err(|_| {
            Failure::new("join-answer", format!("{address} answered something else than what a server gets that joins"))
                .hint("install the same version of Quorate on both servers; the token is used up, so make another")
        })
    })
}

fn unreachable(address: &Address, error: &reqwest::Error) -> Failure {
    let mut why = String::new();
    let mut source: Option<&dyn std::error::Error> = std::error::Error::source(error);
    while let Some(error) = source {
        why = format!("{why}{}{error}", if why.is_empty() { "" } else { ": " });
        source = error.source();
    }
    if why.contains("UnknownIssuer") {
        return Failure::new(
            "join-token-foreign",
            format!("{address} has no certificate of the authority that the token names; nothing was sent"),
        )
        .hint("the token is of another cluster, or somebody else answers at this address");
    }
    if why.contains("not valid for name") || why.contains("NotValidForName") {
        return Failure::new(
            "join-address",
            format!("the certificate that {address} shows is not made out to this address; nothing was sent"),
        )
        .hint("use the address that the plan has for that server");
    }
    if why.contains("CertificateRequired") {
        return Failure::new("join-certificate-needed", format!("{address} lets nobody in without a certificate"))
            .hint("restapi.verify_client must not be 'required' there; or carry a bundle: quorate bundle MEMBER FILE");
    }
    Failure::new("join-unreachable", format!("{address} does not answer: {why}"))
        .hint("does its agent run, and does a firewall let this server through to the port of the REST API?")
}

fn answered(address: &Address, status: u16, text: &str) -> Failure {
    match status {
        403 => Failure::new("join-refused", format!("{address} does not accept the token"))
            .hint("it was used or revoked, or it has expired; make another there: quorate token MEMBER"),
        429 => Failure::new("join-too-often", format!("{address} has refused too many tokens"))
            .hint("try again in a minute"),
        405 | 501 => Failure::new("join-not-first", format!("{address} does not sign certificates"))
            .hint("name the first server, which has the authority's key"),
        _ => {
            let first = text.lines().next().unwrap_or_default();
            Failure::new("join-failed", format!("{address} could not let this server in ({status}): {first}"))
                .hint("its log says why; the token is still good")
        }
    }
}
