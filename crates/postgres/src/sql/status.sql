select json_build_object(
  'in_recovery', r.in_recovery,
  'system_identifier', (select system_identifier::text from pg_control_system()),
  'server_version', current_setting('server_version_num')::int,
  'postmaster_start_time',
    to_char(pg_postmaster_start_time() at time zone 'UTC', 'YYYY-MM-DD HH24:MI:SS.US') || '+00:00',
  'checkpoint_timeline', (select timeline_id from pg_control_checkpoint()),
  'recovery_timeline', (select min_recovery_end_timeline from pg_control_recovery()),
  'write_timeline', case when not r.in_recovery then substr(pg_walfile_name(pg_current_wal_insert_lsn()), 1, 8) end,
  'insert_lsn', case when not r.in_recovery then pg_current_wal_insert_lsn() - '0/0' end,
  'flush_lsn', case when not r.in_recovery then pg_current_wal_flush_lsn() - '0/0' end,
  'receive_lsn', case when r.in_recovery then pg_last_wal_receive_lsn() - '0/0' end,
  'replay_lsn', case when r.in_recovery then pg_last_wal_replay_lsn() - '0/0' end,
  'replay_timestamp', case when r.in_recovery then
    to_char(pg_last_xact_replay_timestamp() at time zone 'UTC', 'YYYY-MM-DD HH24:MI:SS.US') || '+00:00' end,
  'replay_paused', case when r.in_recovery then pg_is_wal_replay_paused() else false end,
  'receiver', case when r.in_recovery then (
    select json_build_object('pid', pid, 'status', status, 'timeline', received_tli, 'flushed_lsn', flushed_lsn - '0/0',
      'latest_end_lsn', latest_end_lsn - '0/0', 'slot_name', slot_name, 'sender_host', sender_host,
      'sender_port', sender_port)
    from pg_stat_wal_receiver) end,
  'synchronous_standby_names', current_setting('synchronous_standby_names'),
  'restore_command', current_setting('restore_command'),
  'replication', (
    select coalesce(json_agg(json_build_object('pid', pid, 'usename', usename, 'application_name', application_name,
      'client_addr', host(client_addr), 'state', state, 'sync_state', sync_state, 'sync_priority', sync_priority,
      'sent_lsn', sent_lsn - '0/0', 'write_lsn', write_lsn - '0/0', 'flush_lsn', flush_lsn - '0/0',
      'replay_lsn', replay_lsn - '0/0')), '[]')
    from pg_stat_replication),
  'slots', (
    select coalesce(json_agg(json_build_object('name', slot_name, 'type', slot_type, 'active', active,
      'database', database, 'plugin', plugin, 'temporary', temporary,
      'restart_lsn', restart_lsn - '0/0', 'confirmed_flush_lsn', confirmed_flush_lsn - '0/0',
      'wal_status', wal_status)), '[]')
    from pg_replication_slots),
  'running', json_build_object(
    'listen_addresses', current_setting('listen_addresses'),
    'port', current_setting('port'),
    'cluster_name', current_setting('cluster_name'),
    'wal_level', current_setting('wal_level'),
    'hot_standby', current_setting('hot_standby'),
    'max_connections', current_setting('max_connections'),
    'max_wal_senders', current_setting('max_wal_senders'),
    'max_prepared_transactions', current_setting('max_prepared_transactions'),
    'max_locks_per_transaction', current_setting('max_locks_per_transaction'),
    'track_commit_timestamp', current_setting('track_commit_timestamp'),
    'max_replication_slots', current_setting('max_replication_slots'),
    'max_worker_processes', current_setting('max_worker_processes'),
    'wal_log_hints', current_setting('wal_log_hints')),
  'pending_restart', case when $1::bool then (
    select coalesce(json_agg(json_build_object('name', s.name, 'old_value', current_setting(s.name), 'new_value', (
      select f.setting from pg_file_settings f where f.name = s.name order by f.seqno desc limit 1))), '[]')
    from pg_settings s where s.pending_restart) end
)::text
from (select pg_is_in_recovery() as in_recovery) r
