//! YAML for people who look at the dynamic configuration, or edit it.

use crate::error::Report;
use crate::{Code, ConfigError, ConfigErrors, Place, tree};
use serde_json::Value;
use std::sync::Arc;

/// Reads YAML as Patroni does; `name` stands for the file in messages. An empty text is null.
pub fn yaml_to_json(name: &str, text: &str) -> Result<Value, ConfigErrors> {
    let source: Arc<str> = Arc::from(name);
    tree::parse(&source, text).map(|node| node.to_json()).map_err(|(line, message)| {
        let mut report = Report::default();
        report.error(ConfigError {
            code: Code::Syntax,
            place: Some(Place { source, line }),
            key: String::new(),
            message: format!("not valid YAML: {message}"),
            hint: None,
        });
        report.into_errors()
    })
}

/// Block style with sorted keys, lists not indented: what `patronictl show-config` prints.
pub fn yaml_from_json(value: &Value) -> String {
    let options = serde_saphyr::ser_options! { compact_list_indent: true };
    let mut text = String::new();
    // Writing plain JSON values into a string cannot fail; an empty text would be the answer if it did.
    if serde_saphyr::to_fmt_writer_with_options(&mut text, value, options).is_err() {
        text.clear();
    }
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_written_is_read_again() {
        let value = json!({
            "ttl": 30, "pause": true, "word": "on", "number": "10", "empty": "", "nothing": null, "half": 0.5,
            "postgresql": {"pg_hba": ["host all all 0.0.0.0/0 md5", "local all all trust"],
                "parameters": {"archive_command": "test ! -f '/a b/%f' && cp %p /a/%f", "max_connections": 100, "y": "y: z"}},
            "list": [], "map": {}, "colon": "a: b", "hash": "a # b", "lines": "a\nb\n",
        });
        let text = yaml_from_json(&value);
        assert_eq!(yaml_to_json("t", &text).unwrap(), value, "{text}");
    }

    #[test]
    fn the_form_is_patronictls() {
        let value = json!({"loop_wait": 10, "postgresql": {"pg_hba": ["local all all trust"], "use_pg_rewind": true}});
        assert_eq!(
            yaml_from_json(&value),
            "loop_wait: 10\npostgresql:\n  pg_hba:\n  - local all all trust\n  use_pg_rewind: true\n"
        );
    }
}
