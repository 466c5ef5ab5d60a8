//! Redis: a string where the client has one, otherwise the line of a program that makes the client.

use super::{Login, quoting};
use crate::cli::arguments::DsnStyle;
use config::Address;

/// How the master is reached.
pub enum Reach {
    /// Sentinels say where it is.
    Sentinel { name: String, sentinels: Vec<Address> },
    /// What stands at these addresses leads to it. A client of Redis takes one; the first is used.
    Directly(Vec<Address>),
}

impl Reach {
    pub fn is_empty(&self) -> bool {
        match self {
            Self::Sentinel { sentinels: addresses, .. } | Self::Directly(addresses) => addresses.is_empty(),
        }
    }
}

pub fn string(style: DsnStyle, reach: &Reach, login: &Login) -> String {
    match reach {
        Reach::Sentinel { name, sentinels } => through_sentinel(style, name, sentinels, login),
        Reach::Directly(addresses) => addresses.first().map(|at| directly(style, at, login)).unwrap_or_default(),
    }
}

fn through_sentinel(style: DsnStyle, name: &str, sentinels: &[Address], login: &Login) -> String {
    let each =
        |part: &dyn Fn(&Address) -> String, between: &str| sentinels.iter().map(part).collect::<Vec<_>>().join(between);
    let quoted = |address: &Address| quoting::literal(&address.to_string());
    let quoted_name = quoting::literal(name);
    match style {
        DsnStyle::RedisPy => {
            let pairs = each(&|at| format!("({}, {})", quoting::literal(&at.host), at.port), ", ");
            let login = words(login, "username=", "password=");
            format!("Sentinel([{pairs}], socket_timeout=1).master_for({quoted_name}{login})")
        }
        DsnStyle::StackexchangeRedis => {
            format!("{},serviceName={name}{}", each(&ToString::to_string, ","), stackexchange_login(login))
        }
        DsnStyle::Jedis => {
            // The short form has no place for a user.
            let Some(user) = &login.user else {
                let password = words(login, "", "");
                return format!("new JedisSentinelPool({quoted_name}, Set.of({}){password})", each(&quoted, ", "));
            };
            let hosts = each(&|at| format!("new HostAndPort({}, {})", quoting::literal(&at.host), at.port), ", ");
            let password = login.password.as_ref().map(|password| format!(".password({})", quoting::literal(password)));
            format!(
                "new JedisSentinelPool({quoted_name}, Set.of({hosts}), \
                 DefaultJedisClientConfig.builder().user({}){}.build(), DefaultJedisClientConfig.builder().build())",
                quoting::literal(user),
                password.unwrap_or_default()
            )
        }
        DsnStyle::Ioredis => {
            let hosts = each(&|at| format!("{{ host: {}, port: {} }}", quoting::literal(&at.host), at.port), ", ");
            let login = words(login, "username: ", "password: ");
            format!("new Redis({{ sentinels: [{hosts}], name: {quoted_name}{login} }})")
        }
        DsnStyle::GoRedis => {
            let login = words(login, "Username: ", "Password: ");
            format!(
                "redis.NewFailoverClient(&redis.FailoverOptions{{MasterName: {quoted_name}, SentinelAddrs: []string{{{}}}{login}}})",
                each(&quoted, ", ")
            )
        }
        DsnStyle::Libpq
        | DsnStyle::Url
        | DsnStyle::Jdbc
        | DsnStyle::Npgsql
        | DsnStyle::Pgx
        | DsnStyle::Psycopg
        | DsnStyle::Sqlalchemy
        | DsnStyle::NodePg => String::new(),
    }
}

fn directly(style: DsnStyle, at: &Address, login: &Login) -> String {
    let url = || quoting::literal(&url(at, login));
    match style {
        DsnStyle::RedisPy => format!("Redis.from_url({})", url()),
        DsnStyle::StackexchangeRedis => format!("{at}{},abortConnect=false", stackexchange_login(login)),
        DsnStyle::Jedis => format!("new JedisPooled({})", url()),
        DsnStyle::Ioredis => format!("new Redis({})", url()),
        DsnStyle::GoRedis => {
            let login = words(login, "Username: ", "Password: ");
            format!("redis.NewClient(&redis.Options{{Addr: {}{login}}})", quoting::literal(&at.to_string()))
        }
        DsnStyle::Libpq
        | DsnStyle::Url
        | DsnStyle::Jdbc
        | DsnStyle::Npgsql
        | DsnStyle::Pgx
        | DsnStyle::Psycopg
        | DsnStyle::Sqlalchemy
        | DsnStyle::NodePg => String::new(),
    }
}

fn url(at: &Address, login: &Login) -> String {
    let password = login.password.as_ref().map_or_else(String::new, |password| format!(":{}", quoting::url(password)));
    let user = login.user.as_ref().map_or_else(String::new, |user| quoting::url(user));
    let login = if user.is_empty() && password.is_empty() { String::new() } else { format!("{user}{password}@") };
    format!("redis://{login}{at}")
}

/// `, name"value"` for what is there.
fn words(login: &Login, user: &str, password: &str) -> String {
    let word = |name: &str, value: &Option<String>| {
        value.as_ref().map_or_else(String::new, |value| format!(", {name}{}", quoting::literal(value)))
    };
    word(user, &login.user) + &word(password, &login.password)
}

fn stackexchange_login(login: &Login) -> String {
    let word = |name: &str, value: &Option<String>| {
        value.as_ref().map_or_else(String::new, |value| format!(",{name}={value}"))
    };
    word("user", &login.user) + &word("password", &login.password)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_client_is_made_in_its_own_words() {
        let sentinels = vec![Address::new("10.0.0.1", 26379), Address::new("10.0.0.2", 26379)];
        let sentinel = Reach::Sentinel { name: "main".to_owned(), sentinels };
        let proxy = Reach::Directly(vec![Address::new("10.0.0.1", 6380), Address::new("10.0.0.2", 6380)]);
        let nobody = Login::default();
        let login = Login { password: Some("p@ss".to_owned()), ..Login::default() };
        for (style, reach, login, expected) in [
            (
                DsnStyle::RedisPy,
                &sentinel,
                &login,
                r#"Sentinel([("10.0.0.1", 26379), ("10.0.0.2", 26379)], socket_timeout=1).master_for("main", password="p@ss")"#,
            ),
            (DsnStyle::RedisPy, &proxy, &login, r#"Redis.from_url("redis://:p%40ss@10.0.0.1:6380")"#),
            (DsnStyle::StackexchangeRedis, &sentinel, &nobody, "10.0.0.1:26379,10.0.0.2:26379,serviceName=main"),
            (DsnStyle::StackexchangeRedis, &proxy, &login, "10.0.0.1:6380,password=p@ss,abortConnect=false"),
            (
                DsnStyle::Jedis,
                &sentinel,
                &login,
                r#"new JedisSentinelPool("main", Set.of("10.0.0.1:26379", "10.0.0.2:26379"), "p@ss")"#,
            ),
            (DsnStyle::Jedis, &proxy, &nobody, r#"new JedisPooled("redis://10.0.0.1:6380")"#),
            (
                DsnStyle::Ioredis,
                &sentinel,
                &login,
                r#"new Redis({ sentinels: [{ host: "10.0.0.1", port: 26379 }, { host: "10.0.0.2", port: 26379 }], name: "main", password: "p@ss" })"#,
            ),
            (DsnStyle::Ioredis, &proxy, &nobody, r#"new Redis("redis://10.0.0.1:6380")"#),
            (
                DsnStyle::GoRedis,
                &sentinel,
                &nobody,
                r#"redis.NewFailoverClient(&redis.FailoverOptions{MasterName: "main", SentinelAddrs: []string{"10.0.0.1:26379", "10.0.0.2:26379"}})"#,
            ),
            (DsnStyle::GoRedis, &proxy, &nobody, r#"redis.NewClient(&redis.Options{Addr: "10.0.0.1:6380"})"#),
        ] {
            assert_eq!(string(style, reach, login), expected);
        }
    }
}
