//! Values and commands as bytes.

use crate::value::{Protocol, Value};
use bytes::{BufMut, BytesMut};

/// Appends the value as the protocol has it.
///
/// RESP2 knows fewer kinds. There a map is a flat array, a set or push an array, a boolean 1 or 0, and a double, a
/// verbatim text or a big number a string.
pub fn encode(value: &Value, protocol: Protocol, out: &mut BytesMut) {
    match value {
        Value::Simple(text) => line(b'+', text.as_bytes(), out),
        Value::Error(text) => line(b'-', text.as_bytes(), out),
        Value::Integer(number) => header(b':', *number, out),
        Value::Bulk(bytes) => bulk(bytes, out),
        Value::Array(items) => sequence(b'*', items, protocol, out),
        Value::Null => out.put_slice(if protocol == Protocol::Resp3 { b"_\r\n" } else { b"$-1\r\n" }),
        Value::NullArray => out.put_slice(if protocol == Protocol::Resp3 { b"_\r\n" } else { b"*-1\r\n" }),
        Value::Map(pairs) => map(pairs, protocol, out),
        Value::Set(items) => sequence(if protocol == Protocol::Resp3 { b'~' } else { b'*' }, items, protocol, out),
        Value::Push(items) => sequence(if protocol == Protocol::Resp3 { b'>' } else { b'*' }, items, protocol, out),
        Value::Boolean(truth) => match protocol {
            Protocol::Resp2 => header(b':', i64::from(*truth), out),
            Protocol::Resp3 => out.put_slice(if *truth { b"#t\r\n" } else { b"#f\r\n" }),
        },
        Value::Double(number) => match protocol {
            Protocol::Resp2 => bulk(double(*number).as_bytes(), out),
            Protocol::Resp3 => line(b',', double(*number).as_bytes(), out),
        },
        Value::Verbatim { format, text } => match protocol {
            Protocol::Resp2 => bulk(text, out),
            Protocol::Resp3 => {
                header(b'=', (format.len() + 1 + text.len()) as i64, out);
                out.put_slice(format.as_bytes());
                out.put_u8(b':');
                out.put_slice(text);
                out.put_slice(b"\r\n");
            }
        },
        Value::BigNumber(digits) => match protocol {
            Protocol::Resp2 => bulk(digits.as_bytes(), out),
            Protocol::Resp3 => line(b'(', digits.as_bytes(), out),
        },
    }
}

/// Appends a command: an array of strings.
pub fn encode_command<A: AsRef<[u8]>>(arguments: &[A], out: &mut BytesMut) {
    header(b'*', arguments.len() as i64, out);
    for argument in arguments {
        bulk(argument.as_ref(), out);
    }
}

fn header(kind: u8, number: i64, out: &mut BytesMut) {
    // 19 digits, a sign, the kind and the end of the line.
    let mut digits = [0u8; 24];
    let mut place = digits.len();
    let mut rest = number.unsigned_abs();
    loop {
        place -= 1;
        digits[place] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    if number < 0 {
        place -= 1;
        digits[place] = b'-';
    }
    out.put_u8(kind);
    out.put_slice(&digits[place..]);
    out.put_slice(b"\r\n");
}

fn bulk(bytes: &[u8], out: &mut BytesMut) {
    header(b'$', bytes.len() as i64, out);
    out.put_slice(bytes);
    out.put_slice(b"\r\n");
}

/// An end of line within the text would be the end of the frame, so it becomes a blank.
fn line(kind: u8, text: &[u8], out: &mut BytesMut) {
    out.put_u8(kind);
    out.extend(text.iter().map(|byte| if matches!(byte, b'\r' | b'\n') { b' ' } else { *byte }));
    out.put_slice(b"\r\n");
}

fn sequence(kind: u8, items: &[Value], protocol: Protocol, out: &mut BytesMut) {
    header(kind, items.len() as i64, out);
    for item in items {
        encode(item, protocol, out);
    }
}

fn map(pairs: &[(Value, Value)], protocol: Protocol, out: &mut BytesMut) {
    match protocol {
        Protocol::Resp2 => header(b'*', pairs.len() as i64 * 2, out),
        Protocol::Resp3 => header(b'%', pairs.len() as i64, out),
    }
    for (key, value) in pairs {
        encode(key, protocol, out);
        encode(value, protocol, out);
    }
}

fn double(number: f64) -> String {
    if number.is_nan() {
        "nan".to_owned()
    } else if number.is_infinite() {
        if number > 0.0 { "inf" } else { "-inf" }.to_owned()
    } else {
        number.to_string()
    }
}
