//! vip-manager's settings: flags win over `VIP_*` variables, those over the file; also under the names of its first versions.

use config::HetznerConfig;
use ha::vip::VirtualAddress;
use platform::Addresses;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tls::ClientFiles;

const SECURED: &str = "https://";
/// `netmask` may be left to the address's class, as in vip-manager.
const CLASS_DEFAULT: [&str; 2] = ["-1", "0"];

/// One setting under its name in files; `--name` and `VIP_NAME` are made from it.
struct Setting {
    name: &'static str,
    /// What it was called in vip-manager's first versions, or by slip of the pen in its own example.
    older: &'static [&'static str],
    doc: &'static str,
}

const fn setting(name: &'static str, older: &'static [&'static str], doc: &'static str) -> Setting {
    Setting { name, older, doc }
}

const SETTINGS: [Setting; 24] = [
    setting("ip", &[], "The virtual address"),
    setting("netmask", &["mask"], "Its network: 24, or 255.255.255.0"),
    setting("interface", &["iface"], "The network interface"),
    setting("trigger-key", &["key"], "The key to watch, such as /service/pgcluster/leader"),
    setting(
        "trigger-value",
        &["nodename", "host"],
        "The address is here while the key has this value; the host's name",
    ),
    setting(
        "manager-type",
        &["hosting-type", "hosting_type", "hostingtype"],
        "basic, or hetzner: the address is a failover address of Hetzner's and is led here",
    ),
    setting("hetzner-credentials-file", &[], "User and password of Hetzner's web service; /etc/hetzner"),
    setting(
        "hetzner-server-ip",
        &[],
        "This server's main address at Hetzner; the one with which it goes to the internet",
    ),
    setting("hetzner-api-url", &[], "Where Hetzner's web service is"),
    setting("dcs-type", &["type", "endpoint_type"], "etcd, etcd3 or patroni"),
    setting("dcs-endpoints", &["endpoint", "endpoints"], "Where the key is asked for, separated by commas"),
    setting("etcd-user", &["etcd_user"], "User name for etcd"),
    setting("etcd-password", &["etcd_password"], "Password for etcd"),
    setting(
        "etcd-ca-file",
        &["etcd_ca_file"],
        "Authorities to trust (PEM); with it TLS is spoken. The system's, where it is missing",
    ),
    setting("etcd-cert-file", &["etcd_cert_file"], "The certificate to show (PEM)"),
    setting("etcd-key-file", &["etcd_key_file"], "The certificate's key (PEM)"),
    setting("consul-token", &["consul_token"], "Not supported: Consul"),
    setting("interval", &[], "Milliseconds after which the key is read again without a change; 1000"),
    setting("retry-after", &["retry_after", "retryafter"], "Milliseconds before another try to set the address; 250"),
    setting("retry-num", &["retry_num", "retrynum"], "Accepted; it is tried as long as the key says so"),
    setting("dcs-timeout", &[], "Milliseconds for which the address stays when nobody answers; 2000"),
    setting("verbose", &[], "Say more"),
    setting("config", &[], "The file"),
    setting("version", &[], "Print the version"),
];

/// What is asked, and how it is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DcsType {
    Etcd,
    Patroni,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    pub address: VirtualAddress,
    /// `None`: the address is set on the interface.
    pub hetzner: Option<HetznerConfig>,
    pub trigger_key: String,
    pub trigger_value: String,
    pub dcs_type: DcsType,
    /// `host:port` of etcd or its `https` address, or whole addresses of Patroni's REST API.
    pub endpoints: Vec<String>,
    /// For endpoints with `https`.
    pub tls: Option<ClientFiles>,
    pub user: Option<String>,
    pub password: Option<String>,
    pub interval: Duration,
    pub retry_after: Duration,
    pub dcs_timeout: Duration,
    pub verbose: bool,
}

/// What the command line asks for.
#[derive(Debug)]
pub enum Asked {
    Run(Box<Settings>),
    Help(String),
    Version,
}

/// `arguments`: without the program's name. `host`: this machine's name.
pub fn read(arguments: &[String], env: &BTreeMap<String, String>, host: &str) -> Result<Asked, String> {
    let flags = flags(arguments)?;
    if flags.contains_key("help") {
        return Ok(Asked::Help(help()));
    }
    if flags.contains_key("version") {
        return Ok(Asked::Version);
    }
    let variables = variables(env);
    let file = match flags.get("config").or_else(|| variables.get("config")) {
        Some(path) => file(Path::new(path))?,
        None => BTreeMap::new(),
    };
    let mut values = file;
    values.extend(variables);
    values.extend(flags);
    settings(&values, host).map(|settings| Asked::Run(Box::new(settings)))
}

fn flags(arguments: &[String]) -> Result<BTreeMap<String, String>, String> {
    let mut values = BTreeMap::new();
    let mut rest = arguments.iter();
    while let Some(word) = rest.next() {
        let Some(flag) =
            word.strip_prefix("--").or_else(|| word.strip_prefix('-').filter(|short| short.len() > 1 || *short == "h"))
        else {
            return Err(format!(
                "'{word}' is not understood\nhint: settings are written as --name value; --help lists them"
            ));
        };
        let (name, value) = flag.split_once('=').map_or((flag, None), |(name, value)| (name, Some(value.to_owned())));
        if matches!(name, "help" | "h") {
            values.insert("help".to_owned(), String::new());
            continue;
        }
        let Some(known) = known(name) else {
            return Err(format!("there is no setting --{name}\nhint: --help lists them"));
        };
        let value = match value {
            Some(value) => value,
            None if matches!(known, "verbose" | "version") => "true".to_owned(),
            None => rest.next().cloned().ok_or_else(|| format!("--{name} needs a value"))?,
        };
        values.insert(known.to_owned(), value);
    }
    Ok(values)
}

fn variables(env: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let value = |setting: &Setting| {
        let variable = format!("VIP_{}", setting.name.to_uppercase().replace('-', "_"));
        Some((setting.name.to_owned(), env.get(&variable).filter(|value| !value.is_empty())?.clone()))
    };
    SETTINGS.iter().filter_map(value).collect()
}

fn file(path: &Path) -> Result<BTreeMap<String, String>, String> {
    let shown = path.display().to_string();
    let text = std::fs::read_to_string(path)
        .map_err(|error| format!("{shown}: {error}\nhint: the file is named with --config or VIP_CONFIG"))?;
    let json = config::yaml_to_json(&shown, &text).map_err(|errors| errors.to_string())?;
    let serde_json::Value::Object(map) = json else { return Err(format!("{shown}: expected keys and values")) };
    let mut values = BTreeMap::new();
    for (name, value) in map {
        let known = known(&name)
            .ok_or_else(|| format!("{shown}: there is no setting '{name}'\nhint: quorate vip --help lists them"))?;
        let one = |value: &serde_json::Value| match value {
            serde_json::Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        let text = match &value {
            serde_json::Value::Null => continue,
            serde_json::Value::Array(items) => items.iter().map(one).collect::<Vec<_>>().join(","),
            other => one(other),
        };
        values.insert(known.to_owned(), text);
    }
    Ok(values)
}

fn known(name: &str) -> Option<&'static str> {
    let is = |setting: &&Setting| {
        setting.name == name || setting.older.contains(&name) || setting.name == name.replace('_', "-")
    };
    SETTINGS.iter().find(is).map(|setting| setting.name)
}

fn settings(values: &BTreeMap<String, String>, host: &str) -> Result<Settings, String> {
    let value = |name: &str| values.get(name).map(String::as_str).map(str::trim).filter(|value| !value.is_empty());
    let needed = |name: &str| {
        value(name).ok_or_else(|| {
            let variable = name.to_uppercase().replace('-', "_");
            format!("{name} is missing\nhint: --{name}, VIP_{variable}, or '{name}:' in the file")
        })
    };
    let (dcs_type, port) = match value("dcs-type").unwrap_or("etcd") {
        "etcd" | "etcd3" => (DcsType::Etcd, 2379),
        "patroni" => (DcsType::Patroni, 8008),
        "consul" => {
            return Err(
                "dcs-type: consul is not supported\nhint: with Patroni on Consul, ask Patroni itself: dcs-type patroni"
                    .to_owned(),
            );
        }
        other => return Err(format!("dcs-type: '{other}' is not known; expected etcd, etcd3 or patroni")),
    };
    let hetzner = match value("manager-type").unwrap_or("basic") {
        "basic" => None,
        "hetzner" => Some(hetzner(&value)?),
        other => return Err(format!("manager-type: '{other}' is not known; expected basic or hetzner")),
    };
    let file = |name: &str| value(name).map(PathBuf::from);
    let authorities = file("etcd-ca-file");
    let identity = match (file("etcd-cert-file"), file("etcd-key-file")) {
        (Some(certificate), Some(key)) => Some((certificate, key)),
        (None, None) => None,
        (Some(_), None) => {
            return Err("etcd-cert-file needs etcd-key-file\nhint: certificate and key go together".to_owned());
        }
        (None, Some(_)) => {
            return Err("etcd-key-file needs etcd-cert-file\nhint: certificate and key go together".to_owned());
        }
    };
    // As in vip-manager: files switch TLS on for endpoints that do not say.
    let by_default = authorities.is_some() || identity.is_some();
    if value("etcd-password").is_some() && value("etcd-user").is_none() {
        return Err("etcd-password needs etcd-user".to_owned());
    }
    let ip: IpAddr =
        needed("ip")?.parse().map_err(|_| format!("ip: '{}' is not an address", value("ip").unwrap_or_default()))?;
    let prefix = prefix(ip, needed("netmask")?)?;
    let interface = needed("interface")?.to_owned();
    let (key_default, value_default) = match dcs_type {
        DcsType::Etcd => (None, host),
        DcsType::Patroni => (Some("/leader"), "200"),
    };
    let trigger_key = match (value("trigger-key"), key_default) {
        (Some(key), _) | (None, Some(key)) => key.to_owned(),
        (None, None) => needed("trigger-key")?.to_owned(),
    };
    let milliseconds = |name: &str, default: u64| match value(name) {
        None => Ok(Duration::from_millis(default)),
        Some(text) => match text.parse::<u64>() {
            Ok(number) if (10..=3_600_000).contains(&number) => Ok(Duration::from_millis(number)),
            Ok(_) | Err(_) => Err(format!("{name}: '{text}' is not accepted; expected 10 to 3600000 milliseconds")),
        },
    };
    let default = format!("127.0.0.1:{port}");
    let endpoints = value("dcs-endpoints").unwrap_or(&default).split(',').map(str::trim).filter(|it| !it.is_empty());
    let endpoints = endpoints.map(|text| endpoint(text, dcs_type, by_default)).collect::<Vec<_>>();
    let secured = endpoints.iter().any(|endpoint| endpoint.starts_with(SECURED));
    let tls = secured.then_some(ClientFiles { authorities, identity, ..Default::default() });
    if let Some(number) = value("retry-num").filter(|text| text.parse::<u32>().is_err()) {
        return Err(format!("retry-num: '{number}' is not a number"));
    }
    Ok(Settings {
        address: VirtualAddress { ip, prefix, interface },
        hetzner,
        trigger_key,
        trigger_value: value("trigger-value").unwrap_or(value_default).to_owned(),
        dcs_type,
        endpoints,
        tls,
        user: value("etcd-user").map(str::to_owned),
        password: value("etcd-password").map(str::to_owned),
        interval: milliseconds("interval", 1000)?,
        retry_after: milliseconds("retry-after", 250)?,
        dcs_timeout: milliseconds("dcs-timeout", 2000)?,
        verbose: value("verbose").is_some_and(|word| !matches!(word, "false" | "0" | "no" | "off")),
    })
}

fn hetzner<'a>(value: &impl Fn(&str) -> Option<&'a str>) -> Result<HetznerConfig, String> {
    let defaults = HetznerConfig::default();
    let server_ip = value("hetzner-server-ip")
        .map(|text| text.parse().map_err(|_| format!("hetzner-server-ip: '{text}' is not an address")));
    Ok(HetznerConfig {
        credentials_file: value("hetzner-credentials-file").map_or(defaults.credentials_file, Into::into),
        api_url: value("hetzner-api-url").map_or(defaults.api_url, str::to_owned),
        server_ip: server_ip.transpose()?,
    })
}

/// `by_default`: one without a scheme speaks TLS.
fn endpoint(text: &str, dcs_type: DcsType, by_default: bool) -> String {
    let (bare, secured) = match (text.strip_prefix(SECURED), text.strip_prefix("http://")) {
        (Some(bare), _) => (bare, true),
        (None, Some(bare)) => (bare, false),
        (None, None) => (text, by_default),
    };
    let bare = bare.trim_end_matches('/');
    match dcs_type {
        DcsType::Etcd | DcsType::Patroni if secured => format!("{SECURED}{bare}"),
        DcsType::Etcd => bare.to_owned(),
        DcsType::Patroni => format!("http://{bare}"),
    }
}

/// A number, a dotted mask, or nothing but the address's class.
fn prefix(ip: IpAddr, text: &str) -> Result<u8, String> {
    let refused = || format!("netmask: '{text}' is not accepted; expected a number such as 24, or 255.255.255.0");
    match ip {
        IpAddr::V4(v4) => {
            if CLASS_DEFAULT.contains(&text) {
                return Ok(match v4.octets()[0] {
                    0..=127 => 8,
                    128..=191 => 16,
                    192..=255 => 24,
                });
            }
            if let Ok(mask) = text.parse::<Ipv4Addr>() {
                let bits = mask.to_bits();
                let length = bits.leading_ones();
                let whole = bits.count_ones() == length && length > 0;
                return if whole { u8::try_from(length).map_err(|_| refused()) } else { Err(refused()) };
            }
            text.parse::<u8>().ok().filter(|length| (1..=32).contains(length)).ok_or_else(refused)
        }
        IpAddr::V6(_) if CLASS_DEFAULT.contains(&text) => Ok(64),
        IpAddr::V6(_) => text.parse::<u8>().ok().filter(|length| (1..=128).contains(length)).ok_or_else(refused),
    }
}

fn help() -> String {
    let mut text = String::from(
        "Usage: quorate vip FILE [--SETTING VALUE ...], or vip-manager [--config FILE] [--SETTING VALUE ...]\n\n\
         Holds a virtual IP address while a key has this host's value. A flag wins over the variable VIP_SETTING, and that\n\
         over the file.\n\n",
    );
    for setting in &SETTINGS {
        let _ = writeln!(text, "  --{:<24} {}", setting.name, setting.doc);
    }
    text
}

/// The interface must be there, and not the loopback.
pub fn check_interface(addresses: &mut Addresses, address: &VirtualAddress) -> Result<(), String> {
    let interfaces =
        addresses.interfaces().map_err(|error| format!("the network interfaces cannot be read: {error}"))?;
    if !interfaces.contains(&address.interface) {
        let list = interfaces.join(", ");
        return Err(format!("interface: there is no '{}'\nhint: this machine has: {list}", address.interface));
    }
    let present = addresses.present().map_err(|error| error.to_string())?;
    if present.iter().any(|own| own.loopback && own.address.interface == address.interface) {
        return Err(format!(
            "interface: '{}' is the loopback interface, where no other host would find {}\nhint: name the interface that the clients' network is on",
            address.interface, address.ip
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn run(arguments: &str, env: &[(&str, &str)]) -> Result<Settings, String> {
        let arguments: Vec<String> = arguments.split_whitespace().map(str::to_owned).collect();
        let env = env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        match read(&arguments, &env, "host1")? {
            Asked::Run(settings) => Ok(*settings),
            other @ (Asked::Help(_) | Asked::Version) => panic!("{other:?}"),
        }
    }

    const MINIMAL: &str = "--ip 10.0.0.42 --netmask 24 --interface eth0 --trigger-key /service/pgcluster/leader";

    #[test]
    fn the_flags_of_vip_manager_are_understood_and_have_its_defaults() {
        let settings = run(MINIMAL, &[]).unwrap();
        assert_eq!(settings.trigger_value, "host1");
        assert_eq!((settings.dcs_type, settings.endpoints), (DcsType::Etcd, vec!["127.0.0.1:2379".to_owned()]));
        assert_eq!((settings.interval, settings.retry_after), (Duration::from_secs(1), Duration::from_millis(250)));
        let all = format!(
            "{MINIMAL} --trigger-value=pg1 --dcs-type etcd3 --dcs-endpoints http://a:1,b:2 --etcd-user u --etcd-password p --interval 500 --retry-num 3 --verbose --manager-type basic"
        );
        let settings = run(&all, &[]).unwrap();
        assert_eq!(settings.endpoints, ["a:1", "b:2"]);
        assert_eq!(settings.trigger_value, "pg1");
        assert!(settings.verbose);
        assert_eq!(settings.hetzner, None);
        let hetzner = run(&format!("{MINIMAL} --manager-type hetzner"), &[]).unwrap().hetzner.unwrap();
        assert_eq!(hetzner.credentials_file.to_str(), Some("/etc/hetzner"));
        let patroni = run("--ip 10.0.0.42 --netmask 24 --interface eth0 --dcs-type patroni", &[]).unwrap();
        assert_eq!((patroni.trigger_key.as_str(), patroni.trigger_value.as_str()), ("/leader", "200"));
        assert_eq!(patroni.endpoints, ["http://127.0.0.1:8008"]);
    }

    #[test]
    fn flags_win_over_variables_and_those_over_the_file_which_may_have_the_older_names() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        // As the bundle for Windows has it.
        write!(
            file,
            "interval: 1000\nkey: /service/pgcluster/leader\nnodename: win1\nip: 10.0.0.42\nmask: 24\niface: \"Ethernet 2\"\n\
             endpoint_type: etcd\nendpoints:\n  - http://127.0.0.1:2379\n  - http://10.0.0.2:2379\nretry_num: 2\nretry_after: 250\n"
        )
        .unwrap();
        let config = format!("--config {}", file.path().display());
        let settings = run(&config, &[]).unwrap();
        assert_eq!(settings.address.interface, "Ethernet 2");
        assert_eq!(settings.trigger_value, "win1");
        assert_eq!(settings.endpoints, ["127.0.0.1:2379", "10.0.0.2:2379"]);
        let settings = run(&config, &[("VIP_TRIGGER_VALUE", "win2"), ("VIP_IP", "10.0.0.43")]).unwrap();
        assert_eq!((settings.trigger_value.as_str(), settings.address.ip.to_string().as_str()), ("win2", "10.0.0.43"));
        let settings = run(&format!("{config} --trigger-value win3"), &[("VIP_TRIGGER_VALUE", "win2")]).unwrap();
        assert_eq!(settings.trigger_value, "win3");
    }

    #[test]
    fn files_and_schemes_switch_tls_on() {
        for (more, endpoints, secured) in [
            ("--dcs-endpoints a:1", "a:1", false),
            ("--dcs-endpoints https://a:1,https://b:2/", "https://a:1 https://b:2", true),
            ("--dcs-endpoints a:1 --etcd-ca-file /ca", "https://a:1", true),
            ("--dcs-endpoints http://a:1 --etcd-ca-file /ca", "a:1", false),
            ("--dcs-endpoints https://a:1 --dcs-type patroni", "https://a:1", true),
            ("--etcd-cert-file /c --etcd-key-file /k", "https://127.0.0.1:2379", true),
        ] {
            let settings = run(&format!("{MINIMAL} {more}"), &[]).unwrap();
            assert_eq!((settings.endpoints.join(" ").as_str(), settings.tls.is_some()), (endpoints, secured), "{more}");
        }
        let settings =
            run(&format!("{MINIMAL} --etcd-ca-file /ca --etcd-cert-file /c --etcd-key-file /k"), &[]).unwrap();
        let tls = settings.tls.unwrap();
        assert_eq!((tls.authorities, tls.identity), (Some("/ca".into()), Some(("/c".into(), "/k".into()))));
    }

    #[test]
    fn a_netmask_is_a_number_a_mask_or_the_class() {
        let prefix = |ip: &str, mask| prefix(ip.parse().unwrap(), mask);
        for (ip, mask, expected) in [
            ("10.0.0.42", "24", Some(24)),
            ("10.0.0.42", "255.255.255.0", Some(24)),
            ("10.0.0.42", "-1", Some(8)),
            ("192.168.0.1", "0", Some(24)),
            ("fd00::1", "64", Some(64)),
            ("10.0.0.42", "33", None),
            ("10.0.0.42", "255.0.255.0", None),
            ("10.0.0.42", "wide", None),
        ] {
            assert_eq!(prefix(ip, mask).ok(), expected, "{ip} {mask}");
        }
    }

    #[test]
    fn what_is_wrong_is_said_with_a_hint() {
        for (arguments, words) in [
            ("--netmask 24", "ip is missing\nhint: --ip, VIP_IP"),
            ("--ip x --netmask 24", "'x' is not an address"),
            ("--port 1", "there is no setting --port"),
            ("file.yml", "'file.yml' is not understood"),
            ("--ip", "--ip needs a value"),
            ("--config /nowhere/vip.yml", "/nowhere/vip.yml"),
        ] {
            let error = run(arguments, &[]).unwrap_err();
            assert!(error.contains(words), "{arguments}: {error}");
        }
        for (more, words) in [
            ("--dcs-type consul", "ask Patroni itself"),
            ("--dcs-type zookeeper", "'zookeeper' is not known"),
            ("--manager-type aws", "expected basic or hetzner"),
            ("--manager-type hetzner --hetzner-server-ip here", "'here' is not an address"),
            ("--etcd-cert-file x", "etcd-cert-file needs etcd-key-file"),
            ("--etcd-key-file x", "etcd-key-file needs etcd-cert-file"),
            ("--etcd-password p", "needs etcd-user"),
            ("--interval soon", "expected 10 to 3600000"),
        ] {
            let error = run(&format!("{MINIMAL} {more}"), &[]).unwrap_err();
            assert!(error.contains(words), "{more}: {error}");
        }
    }
}
