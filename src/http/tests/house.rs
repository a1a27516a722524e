//! A served house: a database in a scratch directory, one agent, one check, one action.

pub(super) use declared::READ;

mod declared;
mod schedules;
mod standing;
mod work;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use http_body_util::{BodyExt, Full};
use hyper::{HeaderMap, Method, Request, StatusCode};
use hyper_util::client::legacy::{Client, connect::HttpConnector};
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::{broadcast, watch};

use crate::actors::healer::HealerError;
use crate::domain::agent::{AgentKind, AgentState, AgentTarget, Desired, Verdict};
use crate::domain::event::Event;
use crate::domain::explain::{Standing, WorkStanding};
use crate::domain::health::{HealthCheck, HealthReport, HealthStatus};
use crate::domain::ids::{RecoveryRunId, SessionId};
use crate::domain::name::{Name, nearest};
use crate::domain::record::RecoveryRun;
use crate::domain::timestamp::Timestamp;
use crate::http::{
    AgentCommand, AgentHealth, AgentView, Agents, Answer, Close, Closing, Facts, Handles, Health,
    Limits, MAX_CONNECTIONS, PROBES, Ports, Problem, QueueView, Readiness, Recovery, Replicas,
    Restarts, Server, Usage, VersionInfo, closing, routes,
};
use crate::persistence::artifacts::Artifacts;
use crate::persistence::{SqliteOptions, Store};

/// When everything in this house happens.
pub(crate) const NOW: Timestamp = Timestamp::from_micros(1_700_000_000_000_000);

/// One agent, `echo`.
pub(crate) fn echo() -> AgentView {
    AgentView {
        name: "echo".parse().unwrap(),
        kind: AgentKind::Process,
        role: None,
        group: None,
        critical: true,
        desired: Desired::Running,
        paused_until: None,
        state: AgentState::Ready,
        replicas: Replicas {
            desired: 1,
            ready: 1,
        },
        instances: Vec::new(),
        health: AgentHealth {
            status: HealthStatus::Healthy,
            verdict: Verdict::Idle,
            checks: vec!["agent.echo".to_owned()],
        },
        generation: 1,
        pid: Some(4711),
        started_at: Some(NOW),
        uptime_ms: Some(1000),
        restarts: Restarts {
            total: 0,
            window: 0,
            last_reason: None,
            next_at: None,
            breaker: "closed".to_owned(),
        },
        queue: QueueView {
            depth: 0,
            running: 0,
            capacity: 1,
        },
        usage: Usage {
            cpu_percent: Some(0.0),
            cpu_seconds: Some(0.1),
            memory_bytes: Some(4096),
        },
        spend: None,
        labels: std::collections::BTreeMap::new(),
    }
}

/// The rooms behind the routes, scripted.
pub(crate) struct Rooms {
    pub(super) store: Store,
    session: SessionId,
    pub(crate) agent: parking_lot::Mutex<AgentView>,
    pub(crate) status: parking_lot::Mutex<HealthStatus>,
    pub(crate) facts: broadcast::Sender<Arc<Event>>,
    /// How many have begun to wait for a task that has not ended.
    pub(crate) waiting: watch::Sender<usize>,
}

fn done<T: Send + 'static>(answer: Result<T, Problem>) -> Answer<'static, T> {
    std::future::ready(answer).boxed()
}

fn known<'a>(what: &str, name: &str, known: &'a str) -> Result<&'a str, Problem> {
    if name == known {
        return Ok(known);
    }
    Err(Problem::not_found(what, name, nearest(name, [known])))
}

impl Agents for Rooms {
    fn agents(&self) -> Answer<'_, Vec<AgentView>> {
        done(Ok(vec![self.agent.lock().clone()]))
    }
    fn agent<'a>(&'a self, name: &'a Name) -> Answer<'a, AgentView> {
        done(known("agent", name.as_str(), "echo").map(|_| self.agent.lock().clone()))
    }
    fn tree(&self) -> Answer<'_, Value> {
        done(Ok(json!({"name": "root", "children": [{"name": "echo"}]})))
    }
    fn command(&self, target: AgentTarget, command: AgentCommand) -> Answer<'_, AgentView> {
        let mut agent = self.agent.lock();
        match command {
            AgentCommand::Stop => agent.desired = Desired::Stopped,
            AgentCommand::Pause(None) => panic!("the supervisor's handle panics"),
            AgentCommand::Pause(until) => {
                (agent.desired, agent.paused_until) = (Desired::Paused, until);
            }
            AgentCommand::Scale(replicas) => agent.replicas.desired = replicas,
            _ => agent.desired = Desired::Running,
        }
        let agent = agent.clone();
        done(known("agent", target.agent.as_str(), "echo").map(|_| agent))
    }
    fn standing<'a>(&'a self, name: &'a Name) -> Answer<'a, (Standing, WorkStanding)> {
        let agent = self.agent.lock().clone();
        done(known("agent", name.as_str(), "echo").map(|_| standing::standing(agent)))
    }
    fn logs(&self, target: AgentTarget) -> Answer<'_, Vec<String>> {
        let lines = vec!["one".to_owned(), "two".to_owned()];
        done(known("agent", target.agent.as_str(), "echo").map(|_| lines))
    }
}

impl Rooms {
    async fn open(scratch: &std::path::Path) -> Arc<Self> {
        let (facts, _) = broadcast::channel(4);
        let sink = facts.clone();
        let mut options = SqliteOptions::new(scratch.join("house.db"));
        options.listener.events = Arc::new(move |events: Vec<Event>| {
            for event in events {
                drop(sink.send(Arc::new(event)));
            }
        });
        let store = Store::open(options).await.unwrap();
        let lease = Duration::from_secs(30);
        let begun = store.begin_session("here", 1, lease).await.unwrap();
        Arc::new(Self {
            store,
            session: begun.session.id,
            agent: parking_lot::Mutex::new(echo()),
            status: parking_lot::Mutex::new(HealthStatus::Healthy),
            facts,
            waiting: watch::Sender::new(0),
        })
    }

    fn check(&self) -> HealthCheck {
        HealthCheck {
            name: "agent.echo".to_owned(),
            component: "agent".to_owned(),
            status: *self.status.lock(),
            message: "answers".to_owned(),
            value: Some(1.0),
            threshold: None,
            since: NOW,
            duration_ms: 2,
            details: json!({}),
        }
    }
}

impl Health for Rooms {
    fn report(&self) -> Option<Arc<HealthReport>> {
        let check = self.check();
        Some(Arc::new(HealthReport {
            status: check.status,
            checked_at: NOW,
            checks: vec![check],
        }))
    }
    fn run<'a>(&'a self, check: &'a str) -> Answer<'a, HealthCheck> {
        done(known("check", check, "agent.echo").map(|_| self.check()))
    }
}

impl Recovery for Rooms {
    fn actions(&self) -> Answer<'_, Vec<Value>> {
        done(Ok(vec![
            json!({"name": "restart_echo", "when": "agent.echo"}),
        ]))
    }
    fn run<'a>(&'a self, action: &'a str, check: Option<&'a str>) -> Answer<'a, RecoveryRun> {
        if (action, check) == ("restart-agent", None) {
            let when = "agent.*".to_owned();
            let action = action.to_owned();
            return done(Err(HealerError::NeedsCheck { action, when }.into()));
        }
        let run = RecoveryRun {
            id: RecoveryRunId::from_bytes([1; 16]),
            action: action.to_owned(),
            cause: "operator".to_owned(),
            outcome: "succeeded".to_owned(),
            message: "restarted".to_owned(),
            attempt: 1,
            started_at: NOW,
            finished_at: Some(NOW),
        };
        let there = if check.is_some() {
            "restart-agent"
        } else {
            "restart_echo"
        };
        done(known("action", action, there).map(|_| run))
    }
}

impl Facts for Rooms {
    fn subscribe(&self) -> broadcast::Receiver<Arc<Event>> {
        self.facts.subscribe()
    }
}

/// The house, served.
pub(crate) struct House {
    pub(crate) rooms: Arc<Rooms>,
    pub(crate) readiness: watch::Sender<Readiness>,
    pub(crate) close: Close,
    pub(crate) server: Arc<Server>,
    client: Client<HttpConnector, Full<Bytes>>,
    _scratch: tempfile::TempDir,
}

/// What was answered.
#[derive(Debug)]
pub(crate) struct Heard {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) bytes: Bytes,
}

impl Heard {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.bytes).unwrap_or(Value::Null)
    }
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }
}

fn handles(
    rooms: &Arc<Rooms>,
    artifacts: Artifacts,
    readiness: watch::Receiver<Readiness>,
    closing: Closing,
) -> Handles {
    Handles {
        agents: rooms.clone(),
        work: rooms.clone(),
        schedules: rooms.clone(),
        messages: rooms.clone(),
        health: rooms.clone(),
        recovery: rooms.clone(),
        facts: rooms.clone(),
        records: rooms.store.clone(),
        artifacts,
        limits: Limits {
            artifact_bytes: 1000,
            ..Limits::default()
        },
        readiness,
        closing,
        about: VersionInfo {
            version: "0.0.0".to_owned(),
            environment: "testing".to_owned(),
            pid: 1,
            node: "here".to_owned(),
            started_at: NOW,
            ports: Ports {
                http: 5000,
                metrics: 8000,
            },
        },
        config: Arc::new(declared::Declared::default()),
    }
}

impl House {
    pub(crate) async fn open() -> Self {
        let scratch = tempfile::tempdir().unwrap();
        let rooms = Rooms::open(scratch.path()).await;
        let (readiness, ready) = watch::channel(Readiness {
            part_down: None,
            started: true,
            draining: false,
        });
        let (close, closing) = closing();
        let artifacts = Artifacts::open(scratch.path()).unwrap();
        let handles = handles(&rooms, artifacts, ready, closing.clone());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server =
            Server::new(listener, routes(handles), MAX_CONNECTIONS, PROBES, closing).unwrap();
        tokio::spawn(server.clone().serve());
        Self {
            rooms,
            readiness,
            close,
            server,
            client: Client::builder(TokioExecutor::new()).build_http(),
            _scratch: scratch,
        }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.server.address())
    }

    pub(crate) async fn send(&self, request: Request<Full<Bytes>>) -> Heard {
        let response = self.client.request(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        Heard {
            status: parts.status,
            headers: parts.headers,
            bytes,
        }
    }

    pub(crate) async fn get(&self, path: &str) -> Heard {
        self.ask(Method::GET, path, &[("accept", "application/json")], "")
            .await
    }

    pub(crate) async fn post(&self, path: &str, body: &str) -> Heard {
        self.ask(
            Method::POST,
            path,
            &[("content-type", "application/json")],
            body,
        )
        .await
    }

    pub(crate) async fn ask(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Heard {
        let mut request = Request::builder().method(method).uri(self.url(path));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.send(request.body(Full::from(body.to_owned())).unwrap())
            .await
    }
}
