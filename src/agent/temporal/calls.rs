//! What is asked of the server, each call with its time; nothing is decided here.

use std::time::Duration;

use temporalio_client::grpc::WorkflowService;
use temporalio_client::tonic::{Code, Request, Status};
use temporalio_common::protos::temporal::api::common::v1::{Memo, WorkflowExecution, WorkflowType};
use temporalio_common::protos::temporal::api::enums::v1::{
    HistoryEventFilterType, TaskQueueType, UpdateWorkflowExecutionLifecycleStage,
    WorkflowIdConflictPolicy, WorkflowIdReusePolicy,
};
use temporalio_common::protos::temporal::api::history::v1::history_event::Attributes;
use temporalio_common::protos::temporal::api::taskqueue::v1::TaskQueue;
use temporalio_common::protos::temporal::api::update::v1 as update;
use temporalio_common::protos::temporal::api::workflowservice::v1 as service;
use temporalio_common::protos::temporal::api::workflowservice::v1::{
    DescribeNamespaceRequest, DescribeTaskQueueRequest, DescribeWorkflowExecutionRequest,
    ExecuteMultiOperationRequest, GetSystemInfoRequest, GetWorkflowExecutionHistoryRequest,
    PollWorkflowExecutionUpdateRequest, SignalWithStartWorkflowExecutionRequest,
    StartWorkflowExecutionRequest, UpdateWorkflowExecutionRequest,
};

use service::execute_multi_operation_request::Operation;
use service::execute_multi_operation_request::operation::Operation as Multi;
use service::execute_multi_operation_response;
use service::execute_multi_operation_response::response::Response as Told;

use super::answered::Outcome;
use super::error::Error;
use super::frontend::{Frontend, IDENTITY};
use super::payload::{self, Carried};

/// How long a call may take that waits for nothing.
const WITHIN: Duration = Duration::from_secs(10);
/// How long one may take that waits for something to happen, of which the server says after 20 s or so that it has
/// not; then it is asked once more.
const POLL_WITHIN: Duration = Duration::from_secs(70);
/// How often a call is made whose answer says that nothing is known yet, before it counts as failed.
const REPEATS_MAX: u32 = 10_000;

/// A workflow to start, or to find running.
#[derive(Clone)]
pub(super) struct Start {
    /// Its id.
    pub(super) id: String,
    /// Its type.
    pub(super) workflow: String,
    /// Where a worker takes it.
    pub(super) queue: String,
    /// What it is given, each argument as JSON.
    pub(super) arguments: Vec<String>,
    /// What is to be known of it by name, as JSON.
    pub(super) memo: Vec<(&'static str, String)>,
    /// When another one may be started once it has ended.
    pub(super) repeats: MayRepeat,
}

/// When a workflow of an id may be started once one of that id has ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum MayRepeat {
    /// Always: it is a thread's, which goes on.
    Always,
    /// Unless it has ended well: it is a turn's, which nobody has asked yet or an operator wants asked again.
    AfterFailure,
    /// Never: it is a turn's, whose workflow says how it ended.
    Never,
}

/// What came of a start.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum StartedRun {
    /// The run of this id has begun, or goes on.
    Runs(String),
    /// The newest run has ended, and no other one may be started.
    HasEnded,
}

/// What a workflow that runs is told, once.
pub(super) struct TurnWord {
    /// How its workflow calls it.
    pub(super) name: &'static str,
    /// What makes it count once.
    pub(super) id: String,
    /// What it says, as JSON.
    pub(super) arguments: Vec<String>,
}

impl Frontend {
    /// Starts a workflow, or finds the one of its id.
    pub(super) async fn start(&self, start: Start) -> Result<StartedRun, Error> {
        let doing = "start a workflow";
        let request = self.start_request(start);
        let _room = self.room().await;
        let mut client = self.client().await?;
        let call = WorkflowService::start_workflow_execution(&mut client, Request::new(request));
        match self.call((doing, WITHIN), call).await? {
            Ok(started) => Ok(StartedRun::Runs(started.run_id)),
            Err(status) if status.code() == Code::AlreadyExists => Ok(StartedRun::HasEnded),
            Err(status) => Err(Error::of(doing, &status)),
        }
    }

    /// Waits until a workflow has ended, whatever runs it has; without an end for ever.
    pub(super) async fn outcome(&self, id: &str, of: StartedRun) -> Result<Outcome, Error> {
        let doing = "tell how a workflow ended";
        let run = match of {
            StartedRun::Runs(run) => run,
            // Whoever names none is told of the newest.
            StartedRun::HasEnded => String::new(),
        };
        let (mut run, mut page) = (run, Vec::new());
        for _ in 0..REPEATS_MAX {
            let request = GetWorkflowExecutionHistoryRequest {
                namespace: self.namespace().to_owned(),
                execution: Some(WorkflowExecution {
                    workflow_id: id.to_owned(),
                    run_id: run.clone(),
                }),
                wait_new_event: true,
                next_page_token: page,
                history_event_filter_type: HistoryEventFilterType::CloseEvent.into(),
                skip_archival: true,
                ..Default::default()
            };
            let mut client = self.client().await?;
            let call = client.get_workflow_execution_history(Request::new(request));
            let told = self.call((doing, POLL_WITHIN), call).await?;
            let told = told.map_err(|status| passing(doing, &status))?;
            page = told.next_page_token;
            let events = told.history.map(|history| history.events).unwrap_or_default();
            match events.into_iter().next_back().and_then(|event| event.attributes) {
                None => {}
                Some(closed) => match ended(closed) {
                    End::Of(outcome) => return Ok(outcome),
                    End::GoesOn(next) => (run, page) = (next, Vec::new()),
                },
            }
        }
        Err(Error::Silent { doing, limit: POLL_WITHIN * REPEATS_MAX })
    }

    /// Gives a workflow an update, starting it if it does not run, and waits for the answer. An update of an id
    /// that it has taken already is not taken again.
    pub(super) async fn update(&self, start: Start, word: TurnWord) -> Result<Outcome, Error> {
        let doing = "take an update";
        let id = start.id.clone();
        let request = ExecuteMultiOperationRequest {
            namespace: self.namespace().to_owned(),
            resource_id: id.clone(),
            operations: [
                Multi::StartWorkflow(self.start_request(start)),
                Multi::UpdateWorkflow(self.update_request(&id, word)),
            ]
            .map(|operation| Operation { operation: Some(operation) })
            .into(),
        };
        for _ in 0..REPEATS_MAX {
            let mut client = self.client().await?;
            let call = client.execute_multi_operation(Request::new(request.clone()));
            let told = self.call((doing, POLL_WITHIN), call).await?;
            let told = told.map_err(|status| passing(doing, &status))?;
            if let Some(taken) = told.responses.into_iter().find_map(accepted) {
                return match taken.outcome {
                    Some(outcome) => Ok(updated(outcome)),
                    None => self.updated(taken.update_ref).await,
                };
            }
        }
        Err(Error::Silent { doing, limit: POLL_WITHIN * REPEATS_MAX })
    }

    /// How an update ended that the workflow's newest run has taken before, if it has, without waiting for it.
    pub(super) async fn known_update(
        &self,
        workflow: &str,
        update: &str,
    ) -> Result<Option<Outcome>, Error> {
        let doing = "tell of an update";
        let execution =
            WorkflowExecution { workflow_id: workflow.to_owned(), ..Default::default() };
        let request = PollWorkflowExecutionUpdateRequest {
            namespace: self.namespace().to_owned(),
            update_ref: Some(update::UpdateRef {
                workflow_execution: Some(execution),
                update_id: update.to_owned(),
            }),
            identity: IDENTITY.to_owned(),
            wait_policy: None,
        };
        let mut client = self.client().await?;
        let call = client.poll_workflow_execution_update(Request::new(request));
        match self.call((doing, WITHIN), call).await? {
            Ok(told) => Ok(told.outcome.map(updated)),
            Err(status) if status.code() == Code::NotFound => Ok(None),
            Err(status) => Err(Error::of(doing, &status)),
        }
    }

    async fn updated(&self, taken: Option<update::UpdateRef>) -> Result<Outcome, Error> {
        let doing = "answer an update";
        let completed = UpdateWorkflowExecutionLifecycleStage::Completed.into();
        for _ in 0..REPEATS_MAX {
            let request = PollWorkflowExecutionUpdateRequest {
                namespace: self.namespace().to_owned(),
                update_ref: taken.clone(),
                identity: IDENTITY.to_owned(),
                wait_policy: Some(update::WaitPolicy { lifecycle_stage: completed }),
            };
            let mut client = self.client().await?;
            let call = client.poll_workflow_execution_update(Request::new(request));
            let told = self.call((doing, POLL_WITHIN), call).await?;
            if let Some(outcome) = told.map_err(|status| passing(doing, &status))?.outcome {
                return Ok(updated(outcome));
            }
        }
        Err(Error::Silent { doing, limit: POLL_WITHIN * REPEATS_MAX })
    }

    /// Gives a workflow a signal, starting it if it does not run.
    pub(super) async fn signal(&self, start: Start, word: TurnWord) -> Result<(), Error> {
        let doing = "take a signal";
        let start = self.start_request(start);
        let request = SignalWithStartWorkflowExecutionRequest {
            namespace: start.namespace,
            workflow_id: start.workflow_id,
            workflow_type: start.workflow_type,
            task_queue: start.task_queue,
            input: start.input,
            identity: start.identity,
            request_id: word.id,
            workflow_id_reuse_policy: start.workflow_id_reuse_policy,
            workflow_id_conflict_policy: start.workflow_id_conflict_policy,
            signal_name: word.name.to_owned(),
            signal_input: Some(payload::all(word.arguments)),
            memo: start.memo,
            ..Default::default()
        };
        let _room = self.room().await;
        let mut client = self.client().await?;
        let call = client.signal_with_start_workflow_execution(Request::new(request));
        let told = self.call((doing, WITHIN), call).await?;
        told.map(drop).map_err(|status| Error::of(doing, &status))
    }

    /// What is known of a workflow by a name, as JSON; none if there is no such workflow.
    pub(super) async fn memo(&self, id: &str, name: &str) -> Result<Option<Vec<u8>>, Error> {
        let doing = "tell of a workflow";
        let execution = WorkflowExecution { workflow_id: id.to_owned(), ..Default::default() };
        let request = DescribeWorkflowExecutionRequest {
            namespace: self.namespace().to_owned(),
            execution: Some(execution),
        };
        let mut client = self.client().await?;
        let call = client.describe_workflow_execution(Request::new(request));
        let told = match self.call((doing, WITHIN), call).await? {
            Ok(told) => told,
            Err(status) if status.code() == Code::NotFound => return Ok(None),
            Err(status) => return Err(Error::of(doing, &status)),
        };
        let memo = told.workflow_execution_info.and_then(|info| info.memo);
        let field = memo.and_then(|mut memo| memo.fields.remove(name));
        Ok(field.and_then(|field| match payload::carried(&field) {
            Carried::Json(text) => Some(text.to_vec()),
            Carried::Nothing | Carried::Strange(_) => None,
        }))
    }

    /// Looks whether the server is there.
    pub(super) async fn probe(&self) -> Result<(), Error> {
        let doing = "say what it is";
        let mut client = self.client().await?;
        let call = client.get_system_info(Request::new(GetSystemInfoRequest::default()));
        let told = self.call((doing, WITHIN), call).await?;
        told.map(drop).map_err(|status| Error::of(doing, &status))
    }

    /// Looks whether the namespace is there; gives how long what has ended is kept.
    pub(super) async fn retention(&self) -> Result<Duration, Error> {
        let doing = "tell of the namespace";
        let namespace = self.namespace().to_owned();
        let request = DescribeNamespaceRequest { namespace, ..Default::default() };
        let mut client = self.client().await?;
        let call = client.describe_namespace(Request::new(request));
        let told = self.call((doing, WITHIN), call).await?;
        let told = told.map_err(|status| Error::of(doing, &status))?;
        let kept = told.config.and_then(|config| config.workflow_execution_retention_ttl);
        let secs = kept.and_then(|kept| u64::try_from(kept.seconds).ok());
        Ok(Duration::from_secs(secs.unwrap_or_default()))
    }

    /// Who polls a task queue, by what they call themselves.
    pub(super) async fn pollers(
        &self,
        queue: &str,
        kind: TaskQueueType,
    ) -> Result<Vec<String>, Error> {
        let doing = "tell of the task queue";
        let request = DescribeTaskQueueRequest {
            namespace: self.namespace().to_owned(),
            task_queue: Some(TaskQueue { name: queue.to_owned(), ..Default::default() }),
            task_queue_type: kind.into(),
            ..Default::default()
        };
        let mut client = self.client().await?;
        let call = client.describe_task_queue(Request::new(request));
        let told = self.call((doing, WITHIN), call).await?;
        let told = told.map_err(|status| Error::of(doing, &status))?;
        Ok(told.pollers.into_iter().map(|poller| poller.identity).collect())
    }

    fn start_request(&self, start: Start) -> StartWorkflowExecutionRequest {
        let Start { id, workflow, queue, arguments, memo, repeats } = start;
        let fields = memo.into_iter().map(|(name, text)| (name.to_owned(), payload::json(text)));
        let reuse = match repeats {
            MayRepeat::Always => WorkflowIdReusePolicy::AllowDuplicate,
            MayRepeat::AfterFailure => WorkflowIdReusePolicy::AllowDuplicateFailedOnly,
            MayRepeat::Never => WorkflowIdReusePolicy::RejectDuplicate,
        };
        StartWorkflowExecutionRequest {
            namespace: self.namespace().to_owned(),
            request_id: uuid::Uuid::new_v4().to_string(),
            workflow_id: id,
            workflow_type: Some(WorkflowType { name: workflow }),
            task_queue: Some(TaskQueue { name: queue, ..Default::default() }),
            input: Some(payload::all(arguments)),
            identity: IDENTITY.to_owned(),
            memo: Some(Memo { fields: fields.collect() }),
            workflow_id_reuse_policy: reuse.into(),
            workflow_id_conflict_policy: WorkflowIdConflictPolicy::UseExisting.into(),
            ..Default::default()
        }
    }

    fn update_request(&self, workflow: &str, word: TurnWord) -> UpdateWorkflowExecutionRequest {
        let accepted = UpdateWorkflowExecutionLifecycleStage::Accepted.into();
        UpdateWorkflowExecutionRequest {
            namespace: self.namespace().to_owned(),
            workflow_execution: Some(WorkflowExecution {
                workflow_id: workflow.to_owned(),
                run_id: String::new(),
            }),
            wait_policy: Some(update::WaitPolicy { lifecycle_stage: accepted }),
            request: Some(update::Request {
                meta: Some(update::Meta { update_id: word.id, identity: IDENTITY.to_owned() }),
                input: Some(update::Input {
                    name: word.name.to_owned(),
                    args: Some(payload::all(word.arguments)),
                    ..Default::default()
                }),
                ..Default::default()
            }),
            ..Default::default()
        }
    }
}

/// What the server says of something that was there a moment ago: it is gone, and asked for anew.
fn passing(doing: &'static str, status: &Status) -> Error {
    match status.code() {
        Code::NotFound => Error::Refused { doing, code: Code::Aborted },
        code => Error::Refused { doing, code },
    }
}

/// How a run ended.
enum End {
    /// For good.
    Of(Outcome),
    /// By another run, of this id.
    GoesOn(String),
}

fn ended(closed: Attributes) -> End {
    let unless = |next: String, outcome| {
        if next.is_empty() { End::Of(outcome) } else { End::GoesOn(next) }
    };
    match closed {
        Attributes::WorkflowExecutionCompletedEventAttributes(end) => {
            unless(end.new_execution_run_id, Outcome::Done(end.result))
        }
        Attributes::WorkflowExecutionFailedEventAttributes(end) => {
            unless(end.new_execution_run_id, Outcome::Ended("it failed"))
        }
        Attributes::WorkflowExecutionTimedOutEventAttributes(end) => {
            unless(end.new_execution_run_id, Outcome::Ended("it was too slow for its time-out"))
        }
        Attributes::WorkflowExecutionContinuedAsNewEventAttributes(end) => {
            unless(end.new_execution_run_id, Outcome::Ended("it goes on nowhere"))
        }
        Attributes::WorkflowExecutionCanceledEventAttributes(_) => {
            End::Of(Outcome::Ended("it was cancelled"))
        }
        Attributes::WorkflowExecutionTerminatedEventAttributes(_) => {
            End::Of(Outcome::Ended("it was terminated"))
        }
        _ => End::Of(Outcome::Ended("it ended in a way that is not known")),
    }
}

/// What is known of an update that a workflow has accepted, in the answer to both operations.
fn accepted(response: execute_multi_operation_response::Response) -> Option<AcceptedUpdate> {
    let Some(Told::UpdateWorkflow(told)) = response.response else { return None };
    let accepted: i32 = UpdateWorkflowExecutionLifecycleStage::Accepted.into();
    (told.stage >= accepted)
        .then_some(AcceptedUpdate { outcome: told.outcome, update_ref: told.update_ref })
}

/// An update that a workflow has accepted.
struct AcceptedUpdate {
    outcome: Option<update::Outcome>,
    update_ref: Option<update::UpdateRef>,
}

fn updated(outcome: update::Outcome) -> Outcome {
    match outcome.value {
        Some(update::outcome::Value::Success(payloads)) => Outcome::Done(Some(payloads)),
        Some(update::outcome::Value::Failure(_)) => Outcome::Ended("it refused the update"),
        None => Outcome::Done(None),
    }
}
