//! Reading and writing keys.

use crate::api::{Api, unexpected_response};
use crate::metrics::Rpc;
use crate::{convert, status};
use etcd_api::etcdserverpb::{self as pb, kv_server};
use tonic::{Request, Response, Status, async_trait};
use types::Revision;

#[async_trait]
impl kv_server::Kv for Api {
    async fn range(&self, request: Request<pb::RangeRequest>) -> Result<Response<pb::RangeResponse>, Status> {
        self.unary(Rpc::Range, request, async |request| {
            let serializable = request.serializable;
            let request = convert::range(request)?;
            if !serializable {
                self.linearizable().await?;
            }
            let (header, result) = self.read(|kv| kv.range(&request));
            let response = result.map_err(|error| status::of_kv(&error))?;
            Ok(convert::range_response(Some(header), response))
        })
        .await
    }

    async fn put(&self, request: Request<pb::PutRequest>) -> Result<Response<pb::PutResponse>, Status> {
        self.unary(Rpc::Put, request, async |request| {
            match self.propose(kv::Command::Put(convert::put(request)?)).await? {
                (header, kv::Response::Put { prev_kv }) => Ok(convert::put_response(Some(header), prev_kv)),
                _ => Err(unexpected_response()),
            }
        })
        .await
    }

    async fn delete_range(
        &self,
        request: Request<pb::DeleteRangeRequest>,
    ) -> Result<Response<pb::DeleteRangeResponse>, Status> {
        self.unary(Rpc::DeleteRange, request, async |request| {
            match self.propose(kv::Command::DeleteRange(convert::delete_range(request)?)).await? {
                (header, kv::Response::DeleteRange { deleted, prev_kvs }) => {
                    Ok(convert::delete_range_response(Some(header), deleted, prev_kvs))
                }
                _ => Err(unexpected_response()),
            }
        })
        .await
    }

    async fn txn(&self, request: Request<pb::TxnRequest>) -> Result<Response<pb::TxnResponse>, Status> {
        self.unary(Rpc::Txn, request, async |request| {
            let txn = convert::txn(request)?;
            if kv::txn_is_read_only(&txn) {
                self.linearizable().await?;
                let (header, result) = self.read(|kv| kv.read_txn(&txn));
                let response = result.map_err(|error| status::of_kv(&error))?;
                return Ok(convert::txn_response(Some(header), response));
            }
            match self.propose(kv::Command::Txn(txn)).await? {
                (header, kv::Response::Txn(response)) => Ok(convert::txn_response(Some(header), response)),
                _ => Err(unexpected_response()),
            }
        })
        .await
    }

    async fn compact(
        &self,
        request: Request<pb::CompactionRequest>,
    ) -> Result<Response<pb::CompactionResponse>, Status> {
        self.unary(Rpc::Compact, request, async |request| {
            let (header, _) = self.propose(kv::Command::Compact { revision: Revision(request.revision) }).await?;
            Ok(pb::CompactionResponse { header: Some(header) })
        })
        .await
    }
}
