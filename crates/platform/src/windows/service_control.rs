//! The service control manager: install, start, stop, and the service's own side of it.
//!
//! Run under Wine and not yet on a real Windows; Wine accepts failure actions without carrying them out.

use crate::service_control::{NativeService, NativeState, ServiceBody, StopRequest};
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::windows::io::{AsRawHandle, IntoRawHandle};
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;
use windows_service::service::{
    Service, ServiceAccess, ServiceAction, ServiceActionType, ServiceControl, ServiceControlAccept,
    ServiceErrorControl, ServiceExitCode, ServiceFailureActions, ServiceFailureResetPeriod, ServiceInfo,
    ServiceStartType, ServiceState, ServiceStatus, ServiceType,
};
use windows_service::service_control_handler::{ServiceControlHandlerResult, ServiceStatusHandle, register};
use windows_service::service_manager::{ServiceManager, ServiceManagerAccess};
use windows_service::{define_windows_service, service_dispatcher};
use windows_sys::Win32::Foundation::{ERROR_INVALID_LEVEL, ERROR_SERVICE_DOES_NOT_EXIST};
use windows_sys::Win32::System::Console::{STD_ERROR_HANDLE, SetStdHandle};

/// The first failures are answered at once; one that keeps failing leaves the machine some rest.
const RESTART_DELAYS: [Duration; 3] = [Duration::from_secs(1), Duration::from_secs(5), Duration::from_secs(30)];
/// After a day without a failure the delays begin anew.
const FAILURES_FORGOTTEN_AFTER: Duration = Duration::from_secs(24 * 60 * 60);
/// How long the manager waits for the start-up checks.
const START_HINT: Duration = Duration::from_secs(60);
/// How long it waits for PostgreSQL's last checkpoint, as the unit for systemd does.
const STOP_HINT: Duration = Duration::from_secs(300);

/// What `run` is to do, and under which name; the entry point is called without arguments of ours.
static TO_RUN: Mutex<Option<(OsString, ServiceBody)>> = Mutex::new(None);

pub fn install(service: &NativeService) -> io::Result<()> {
    let manager = manager(ServiceManagerAccess::CONNECT | ServiceManagerAccess::CREATE_SERVICE)?;
    let info = ServiceInfo {
        name: OsString::from(&service.name),
        display_name: OsString::from(&service.name),
        service_type: ServiceType::OWN_PROCESS,
        start_type: ServiceStartType::AutoStart,
        error_control: ServiceErrorControl::Normal,
        executable_path: service.program.clone(),
        launch_arguments: service.arguments.iter().map(OsString::from).collect(),
        dependencies: Vec::new(),
        account_name: None,
        account_password: None,
    };
    let access = ServiceAccess::CHANGE_CONFIG | ServiceAccess::START | ServiceAccess::DELETE;
    let installed = manager.create_service(&info, access).map_err(plain)?;
    describe(&installed, service).inspect_err(|_| {
        // Half of a service is none; why it is only half is what is said.
        let _ = installed.delete();
    })
}

fn describe(installed: &Service, service: &NativeService) -> io::Result<()> {
    installed.set_description(&service.description).map_err(plain)?;
    let restart = |delay| ServiceAction { action_type: ServiceActionType::Restart, delay };
    installed
        .update_failure_actions(ServiceFailureActions {
            reset_period: ServiceFailureResetPeriod::After(FAILURES_FORGOTTEN_AFTER),
            reboot_msg: None,
            command: None,
            actions: Some(RESTART_DELAYS.into_iter().map(restart).collect()),
        })
        .map_err(plain)?;
    match installed.set_failure_actions_on_non_crash_failures(true).map_err(plain) {
        // Not known to this Windows (nor to Wine): it is then started again only after a crash.
        Err(error) if error.raw_os_error() == i32::try_from(ERROR_INVALID_LEVEL).ok() => Ok(()),
        other => other,
    }
}

pub fn start(name: &str) -> io::Result<()> {
    open(name, ServiceAccess::START)?.start::<&OsStr>(&[]).map_err(plain)
}

pub fn stop(name: &str) -> io::Result<()> {
    open(name, ServiceAccess::STOP)?.stop().map(drop).map_err(plain)
}

pub fn state(name: &str) -> io::Result<NativeState> {
    let service = match open(name, ServiceAccess::QUERY_STATUS) {
        Ok(service) => service,
        Err(error) if error.raw_os_error() == i32::try_from(ERROR_SERVICE_DOES_NOT_EXIST).ok() => {
            return Ok(NativeState::Absent);
        }
        Err(error) => return Err(error),
    };
    Ok(match service.query_status().map_err(plain)?.current_state {
        ServiceState::Stopped => NativeState::Stopped,
        ServiceState::Running => NativeState::Running,
        ServiceState::StartPending
        | ServiceState::StopPending
        | ServiceState::ContinuePending
        | ServiceState::PausePending
        | ServiceState::Paused => NativeState::Changing,
    })
}

pub fn uninstall(name: &str) -> io::Result<()> {
    open(name, ServiceAccess::DELETE)?.delete().map_err(plain)
}

pub fn run(name: &str, log: &Path, body: ServiceBody) -> io::Result<()> {
    say_into(log)?;
    *TO_RUN.lock().unwrap_or_else(PoisonError::into_inner) = Some((OsString::from(name), body));
    service_dispatcher::start(name, service_entry).map_err(plain)
}

define_windows_service!(service_entry, service_main);

fn service_main(_arguments: Vec<OsString>) {
    let to_run = TO_RUN.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some((name, body)) = to_run
        && let Err(error) = serve(&name, body)
    {
        eprintln!("quorate: the service manager was not told: {error}");
    }
}

fn serve(name: &OsStr, body: ServiceBody) -> windows_service::Result<()> {
    let request = StopRequest::default();
    let asked = request.clone();
    let told = Arc::new(OnceLock::new());
    let to_tell = told.clone();
    let handle = register(name, move |control| match control {
        ServiceControl::Stop | ServiceControl::Shutdown => {
            // The guard now stops its servers in order, which may take as long as a checkpoint.
            if let Some(handle) = to_tell.get() {
                let _ = tell(*handle, ServiceState::StopPending, 0, STOP_HINT);
            }
            asked.ask();
            ServiceControlHandlerResult::NoError
        }
        ServiceControl::Interrogate => ServiceControlHandlerResult::NoError,
        _ => ServiceControlHandlerResult::NotImplemented,
    })?;
    let _ = told.set(handle);
    tell(handle, ServiceState::StartPending, 0, START_HINT)?;
    tell(handle, ServiceState::Running, 0, Duration::ZERO)?;
    let code = body(request);
    tell(handle, ServiceState::Stopped, u32::try_from(code).unwrap_or(1), Duration::ZERO)
}

fn tell(
    handle: ServiceStatusHandle,
    state: ServiceState,
    code: u32,
    wait_hint: Duration,
) -> windows_service::Result<()> {
    let accepts = match state {
        ServiceState::Running => ServiceControlAccept::STOP | ServiceControlAccept::SHUTDOWN,
        _ => ServiceControlAccept::empty(),
    };
    handle.set_service_status(ServiceStatus {
        service_type: ServiceType::OWN_PROCESS,
        current_state: state,
        controls_accepted: accepts,
        exit_code: if code == 0 { ServiceExitCode::NO_ERROR } else { ServiceExitCode::ServiceSpecific(code) },
        checkpoint: 0,
        wait_hint,
        process_id: None,
    })
}

/// A service has no console: standard error, which is the log, goes into a file, also that of the worker.
fn say_into(log: &Path) -> io::Result<()> {
    let file = std::fs::OpenOptions::new().create(true).append(true).open(log)?;
    // SAFETY: the handle is valid, and stays so because nobody closes it.
    let ok = unsafe { SetStdHandle(STD_ERROR_HANDLE, file.as_raw_handle().cast()) };
    if ok == 0 {
        return Err(io::Error::last_os_error());
    }
    let _ = file.into_raw_handle();
    Ok(())
}

fn manager(access: ServiceManagerAccess) -> io::Result<ServiceManager> {
    ServiceManager::local_computer(None::<&str>, access).map_err(plain)
}

fn open(name: &str, access: ServiceAccess) -> io::Result<Service> {
    manager(ServiceManagerAccess::CONNECT)?.open_service(name, access).map_err(plain)
}

/// Windows' own error, where there is one beneath.
fn plain(error: windows_service::Error) -> io::Error {
    match error {
        windows_service::Error::Winapi(error) => error,
        other => io::Error::other(other),
    }
}
