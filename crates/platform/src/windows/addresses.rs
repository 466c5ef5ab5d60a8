//! Addresses on Windows, by the IP Helper API.
//!
//! Windows announces an address by itself when it is set (gratuitous ARP, neighbour advertisement), and looks for a
//! duplicate: until that look is over the address is not used, for which `dadtransmits` of the interface counts.

use crate::addresses::{CardAddress, Holder, PresentAddress};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use windows_sys::Win32::Foundation::{ERROR_ACCESS_DENIED, ERROR_NOT_FOUND, ERROR_OBJECT_ALREADY_EXISTS, WIN32_ERROR};
use windows_sys::Win32::NetworkManagement::IpHelper::{
    ConvertInterfaceAliasToLuid, ConvertInterfaceLuidToAlias, CreateUnicastIpAddressEntry, DeleteUnicastIpAddressEntry,
    FreeMibTable, GetUnicastIpAddressTable, InitializeUnicastIpAddressEntry, MIB_UNICASTIPADDRESS_ROW,
    MIB_UNICASTIPADDRESS_TABLE, SetUnicastIpAddressEntry,
};
use windows_sys::Win32::NetworkManagement::Ndis::NET_LUID_LH;
use windows_sys::Win32::Networking::WinSock::{AF_INET, AF_INET6, AF_UNSPEC};

/// An interface's alias, with its end (`NDIS_IF_MAX_STRING_SIZE`).
const ALIAS_CHARACTERS_MAX: usize = 257;
/// `IF_TYPE_SOFTWARE_LOOPBACK`, which stands in the highest 16 bits of an interface's LUID.
const LOOPBACK: u64 = 24;
/// A lifetime without end.
const FOR_EVER: u32 = u32::MAX;

pub struct Addresses {}

impl Addresses {
    #[allow(clippy::unnecessary_wraps)] // as on the other systems
    pub fn open() -> io::Result<Self> {
        Ok(Self {})
    }

    pub fn present(&mut self) -> io::Result<Vec<PresentAddress>> {
        let mut table: *mut MIB_UNICASTIPADDRESS_TABLE = std::ptr::null_mut();
        // SAFETY: the pointer is where the function puts the table it allocates.
        check(unsafe { GetUnicastIpAddressTable(AF_UNSPEC, &raw mut table) })?;
        // SAFETY: the function succeeded, so the table has as many rows as it says.
        let rows = unsafe {
            let count = (*table).NumEntries as usize;
            std::slice::from_raw_parts((&raw const (*table).Table).cast::<MIB_UNICASTIPADDRESS_ROW>(), count).to_vec()
        };
        // SAFETY: allocated by the function above, and not used after this.
        unsafe { FreeMibTable(table.cast()) };
        Ok(rows.iter().filter_map(read).collect())
    }

    pub fn interfaces(&mut self) -> io::Result<Vec<String>> {
        let mut names: Vec<String> = self.present()?.into_iter().map(|present| present.address.interface).collect();
        names.sort();
        names.dedup();
        Ok(names)
    }

    pub fn set(&mut self, address: &CardAddress, seconds: u32) -> io::Result<()> {
        let mut row = row(address)?;
        row.ValidLifetime = seconds;
        row.PreferredLifetime = seconds;
        // The host's own connections do not go out from it.
        row.SkipAsSource = true;
        // SAFETY: a whole row, made by `row`.
        match unsafe { CreateUnicastIpAddressEntry(&raw const row) } {
            // SAFETY: the same row.
            ERROR_OBJECT_ALREADY_EXISTS => check(unsafe { SetUnicastIpAddressEntry(&raw const row) }),
            other => check(other),
        }
    }

    pub fn remove(&mut self, address: &CardAddress) -> io::Result<()> {
        let row = row(address)?;
        // SAFETY: a whole row, made by `row`.
        match unsafe { DeleteUnicastIpAddressEntry(&raw const row) } {
            ERROR_NOT_FOUND => Ok(()),
            other => check(other),
        }
    }

    #[allow(clippy::unnecessary_wraps)] // as on the other systems
    pub fn holder(&mut self, _ip: IpAddr, _interface: &str) -> io::Result<Holder> {
        Ok(Holder::NotAsked)
    }

    #[allow(clippy::unnecessary_wraps)] // as on the other systems
    pub fn announce(&mut self, _address: &CardAddress) -> io::Result<Option<String>> {
        Ok(None)
    }
}

/// Found out by the first try: Windows has no simple question for it.
pub fn missing_privilege() -> Option<&'static str> {
    None
}

fn row(address: &CardAddress) -> io::Result<MIB_UNICASTIPADDRESS_ROW> {
    let mut row = MIB_UNICASTIPADDRESS_ROW::default();
    // SAFETY: fills in the row that the pointer describes.
    unsafe { InitializeUnicastIpAddressEntry(&raw mut row) };
    row.InterfaceLuid = luid(&address.interface)?;
    row.OnLinkPrefixLength = address.prefix;
    match address.ip {
        IpAddr::V4(ip) => {
            row.Address.Ipv4.sin_family = AF_INET;
            row.Address.Ipv4.sin_addr.S_un.S_addr = u32::from_ne_bytes(ip.octets());
        }
        IpAddr::V6(ip) => {
            row.Address.Ipv6.sin6_family = AF_INET6;
            row.Address.Ipv6.sin6_addr.u.Byte = ip.octets();
        }
    }
    Ok(row)
}

fn luid(interface: &str) -> io::Result<NET_LUID_LH> {
    let alias: Vec<u16> = interface.encode_utf16().chain([0]).collect();
    let mut luid = NET_LUID_LH::default();
    // SAFETY: a text with its end, and where the number is put.
    let found = unsafe { ConvertInterfaceAliasToLuid(alias.as_ptr(), &raw mut luid) };
    check(found).map_err(|error| io::Error::other(format!("there is no network interface {interface} ({error})")))?;
    Ok(luid)
}

fn read(row: &MIB_UNICASTIPADDRESS_ROW) -> Option<PresentAddress> {
    // SAFETY: the family, which is at the same place in every variant, says which one it is.
    let ip = unsafe {
        match row.Address.si_family {
            AF_INET => IpAddr::from(Ipv4Addr::from(row.Address.Ipv4.sin_addr.S_un.S_addr.to_ne_bytes())),
            AF_INET6 => IpAddr::from(Ipv6Addr::from(row.Address.Ipv6.sin6_addr.u.Byte)),
            _ => return None,
        }
    };
    let mut alias = [0_u16; ALIAS_CHARACTERS_MAX];
    // SAFETY: the pointer and the length describe `alias`.
    let named = unsafe { ConvertInterfaceLuidToAlias(&raw const row.InterfaceLuid, alias.as_mut_ptr(), alias.len()) };
    check(named).ok()?;
    let length = alias.iter().position(|unit| *unit == 0).unwrap_or(alias.len());
    // SAFETY: every variant of the union is the same 64 bits.
    let loopback = unsafe { row.InterfaceLuid.Value } >> 48 == LOOPBACK;
    Some(PresentAddress {
        address: CardAddress {
            ip,
            prefix: row.OnLinkPrefixLength,
            interface: String::from_utf16_lossy(&alias[..length]),
        },
        lasting: row.ValidLifetime == FOR_EVER,
        loopback,
    })
}

fn check(code: WIN32_ERROR) -> io::Result<()> {
    match code {
        0 => Ok(()),
        ERROR_ACCESS_DENIED => Err(io::Error::other("the account may not change network settings")),
        other => Err(io::Error::from_raw_os_error(other.cast_signed())),
    }
}
