//! PostgreSQL's connection strings. Hosts stand in one string where the client takes several.

use super::{Login, quoting};
use crate::cli::arguments::{DsnStyle, RoleFilter};
use config::Address;
use std::fmt::Write as _;

/// What PostgreSQL makes itself.
const DATABASE: &str = "postgres";

/// What the client looks for among several hosts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wants {
    Primary,
    PreferReplica,
}

impl Wants {
    pub fn of(role: Option<RoleFilter>) -> Option<Self> {
        match role {
            None | Some(RoleFilter::Leader | RoleFilter::Primary) => Some(Self::Primary),
            Some(RoleFilter::Replica | RoleFilter::Standby) => Some(Self::PreferReplica),
            Some(RoleFilter::StandbyLeader | RoleFilter::Any) => None,
        }
    }

    /// libpq's word, which most others have taken over.
    fn libpq(self) -> &'static str {
        match self {
            Self::Primary => "read-write",
            Self::PreferReplica => "prefer-standby",
        }
    }
}

pub fn string(style: DsnStyle, addresses: &[Address], wants: Option<Wants>, login: &Login) -> String {
    match style {
        DsnStyle::Libpq => libpq(addresses, wants, login),
        DsnStyle::Psycopg => {
            libpq(addresses, wants, &Login { database: Some(database(login).to_owned()), ..login.clone() })
        }
        DsnStyle::Url | DsnStyle::Pgx | DsnStyle::NodePg => url("postgresql", addresses, wants, login),
        DsnStyle::Sqlalchemy => sqlalchemy(addresses, wants, login),
        DsnStyle::Jdbc => jdbc(addresses, wants, login),
        DsnStyle::Npgsql => npgsql(addresses, wants, login),
        DsnStyle::RedisPy | DsnStyle::StackexchangeRedis | DsnStyle::Jedis | DsnStyle::Ioredis | DsnStyle::GoRedis => {
            String::new()
        }
    }
}

fn database(login: &Login) -> &str {
    login.database.as_deref().unwrap_or(DATABASE)
}

fn joined(addresses: &[Address], part: impl Fn(&Address) -> String) -> String {
    addresses.iter().map(part).collect::<Vec<_>>().join(",")
}

fn libpq(addresses: &[Address], wants: Option<Wants>, login: &Login) -> String {
    let hosts = joined(addresses, |address| address.host.clone());
    let ports = joined(addresses, |address| address.port.to_string());
    let mut text = format!("host={hosts} port={ports}");
    for (name, value) in [("dbname", &login.database), ("user", &login.user), ("password", &login.password)] {
        if let Some(value) = value {
            let _ = write!(text, " {name}={}", quoting::libpq(value));
        }
    }
    if let Some(wants) = wants {
        let _ = write!(text, " target_session_attrs={}", wants.libpq());
    }
    text
}

/// `user:password@`, or nothing.
fn authority(login: &Login) -> String {
    let Some(user) = &login.user else { return String::new() };
    let password = login.password.as_ref().map_or_else(String::new, |password| format!(":{}", quoting::url(password)));
    format!("{}{password}@", quoting::url(user))
}

fn url(scheme: &str, addresses: &[Address], wants: Option<Wants>, login: &Login) -> String {
    let hosts = joined(addresses, ToString::to_string);
    let wants = wants.map_or_else(String::new, |wants| format!("?target_session_attrs={}", wants.libpq()));
    format!("{scheme}://{}{hosts}/{}{wants}", authority(login), quoting::url(database(login)))
}

/// SQLAlchemy's URL has one host; the driver takes several as parameters.
fn sqlalchemy(addresses: &[Address], wants: Option<Wants>, login: &Login) -> String {
    if let [_] = addresses {
        return url("postgresql+psycopg", addresses, wants, login);
    }
    let mut text = format!("postgresql+psycopg://{}/{}", authority(login), quoting::url(database(login)));
    for (at, address) in addresses.iter().enumerate() {
        let _ = write!(text, "{}host={address}", if at == 0 { '?' } else { '&' });
    }
    if let Some(wants) = wants {
        let _ = write!(text, "&target_session_attrs={}", wants.libpq());
    }
    text
}

fn jdbc(addresses: &[Address], wants: Option<Wants>, login: &Login) -> String {
    let mut parameters = Vec::new();
    if let Some(user) = &login.user {
        parameters.push(format!("user={}", quoting::url(user)));
    }
    if let Some(password) = &login.password {
        parameters.push(format!("password={}", quoting::url(password)));
    }
    match wants {
        Some(Wants::Primary) => parameters.push("targetServerType=primary".to_owned()),
        Some(Wants::PreferReplica) => parameters.push("targetServerType=preferSecondary".to_owned()),
        None => {}
    }
    let hosts = joined(addresses, ToString::to_string);
    let parameters = if parameters.is_empty() { String::new() } else { format!("?{}", parameters.join("&")) };
    format!("jdbc:postgresql://{hosts}/{}{parameters}", quoting::url(database(login)))
}

fn npgsql(addresses: &[Address], wants: Option<Wants>, login: &Login) -> String {
    let mut text = match addresses {
        [one] => format!("Host={};Port={}", one.host, one.port),
        _ => format!("Host={}", joined(addresses, ToString::to_string)),
    };
    let _ = write!(text, ";Database={}", quoting::ado(database(login)));
    for (name, value) in [("Username", &login.user), ("Password", &login.password)] {
        if let Some(value) = value {
            let _ = write!(text, ";{name}={}", quoting::ado(value));
        }
    }
    if let Some(wants) = wants {
        let _ = write!(text, ";Target Session Attributes={}", wants.libpq());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_string_is_in_the_clients_own_form() {
        let one = [Address::new("10.0.0.1", 5432)];
        let two = [Address::new("10.0.0.1", 5432), Address::new("10.0.0.2", 5433)];
        let all = Some(Wants::Primary);
        let standby = Some(Wants::PreferReplica);
        for (style, addresses, wants, expected) in [
            (DsnStyle::Libpq, &one[..], None, "host=10.0.0.1 port=5432"),
            (DsnStyle::Libpq, &two, all, "host=10.0.0.1,10.0.0.2 port=5432,5433 target_session_attrs=read-write"),
            (DsnStyle::Psycopg, &one, None, "host=10.0.0.1 port=5432 dbname=postgres"),
            (
                DsnStyle::Url,
                &two,
                all,
                "postgresql://10.0.0.1:5432,10.0.0.2:5433/postgres?target_session_attrs=read-write",
            ),
            (DsnStyle::NodePg, &one, None, "postgresql://10.0.0.1:5432/postgres"),
            (DsnStyle::Sqlalchemy, &one, None, "postgresql+psycopg://10.0.0.1:5432/postgres"),
            (
                DsnStyle::Sqlalchemy,
                &two,
                all,
                "postgresql+psycopg:///postgres?host=10.0.0.1:5432&host=10.0.0.2:5433&target_session_attrs=read-write",
            ),
            (
                DsnStyle::Jdbc,
                &two,
                all,
                "jdbc:postgresql://10.0.0.1:5432,10.0.0.2:5433/postgres?targetServerType=primary",
            ),
            (DsnStyle::Npgsql, &one, None, "Host=10.0.0.1;Port=5432;Database=postgres"),
            (
                DsnStyle::Npgsql,
                &two,
                standby,
                "Host=10.0.0.1:5432,10.0.0.2:5433;Database=postgres;Target Session Attributes=prefer-standby",
            ),
        ] {
            assert_eq!(string(style, addresses, wants, &Login::default()), expected);
        }
        let login = Login {
            user: Some("app".to_owned()),
            password: Some("it's; p@ss".to_owned()),
            database: Some("shop".to_owned()),
        };
        for (style, expected) in [
            (DsnStyle::Libpq, r"host=10.0.0.1 port=5432 dbname=shop user=app password='it\'s; p@ss'"),
            (DsnStyle::Pgx, "postgresql://app:it%27s%3B%20p%40ss@10.0.0.1:5432/shop"),
            (DsnStyle::Jdbc, "jdbc:postgresql://10.0.0.1:5432/shop?user=app&password=it%27s%3B%20p%40ss"),
            (DsnStyle::Npgsql, r#"Host=10.0.0.1;Port=5432;Database=shop;Username=app;Password="it's; p@ss""#),
        ] {
            assert_eq!(string(style, &one, None, &login), expected);
        }
        let v6 = [Address::new("fd00::1", 5000)];
        assert_eq!(string(DsnStyle::Url, &v6, None, &Login::default()), "postgresql://[fd00::1]:5000/postgres");
    }
}
