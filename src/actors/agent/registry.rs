//! The agents in Rust that a configuration may name: `kind = "actor"`, `actor = "word_count"`.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use super::Launcher;
use super::actor::ActorAgent;
use super::open_tasks::OpenTasks;
use super::scope::Surroundings;
use super::user::{Agent, Failure};
use super::word_count::WordCount;
use crate::actors::life::{ChildFactory, Life};
use crate::actors::runner::HostedChild;
use crate::actors::work::WorkSink;
use crate::domain::agent::{AgentSpec, InstanceId};
use crate::domain::name::nearest;
use crate::domain::task::TaskError;
use crate::persistence::artifacts::Artifacts;

/// What agents need of the daemon.
#[derive(Debug, Clone)]
pub struct AgentEnvironment {
    /// Where results go.
    pub work: Arc<dyn WorkSink>,
    /// Starts processes.
    pub launcher: Launcher,
    /// Large values.
    pub artifacts: Artifacts,
    /// Agents in Rust, by name.
    pub registry: Registry,
    /// Where log files go: `<data-dir>/logs`.
    pub log_dir: std::path::PathBuf,
}

/// What the factory of an agent in Rust is given for each life.
#[derive(Debug, Clone, Copy)]
pub struct Seed<'a> {
    /// The replica.
    pub instance: &'a InstanceId,
    /// Which life.
    pub generation: u64,
    /// `settings` of its configuration.
    pub settings: &'a serde_json::Value,
    /// Large values.
    pub artifacts: &'a Artifacts,
}

/// A configuration names an agent in Rust that nobody registered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("agent '{agent}': unknown actor '{actor}'{}; known: {known}", hint(.nearest.as_deref()))]
pub struct UnknownActor {
    /// The agent.
    pub agent: String,
    /// What its configuration names.
    pub actor: String,
    /// The names there are.
    pub known: String,
    nearest: Option<String>,
}

fn hint(nearest: Option<&str>) -> String {
    nearest.map_or_else(String::new, |name| format!(", did you mean '{name}'?"))
}

type Child =
    Arc<dyn Fn(&AgentEnvironment, &serde_json::Value) -> Arc<dyn ChildFactory> + Send + Sync>;

/// Agents in Rust, by name. Cheap to clone.
#[derive(Clone, Default)]
pub struct Registry {
    known: BTreeMap<String, Child>,
}

impl Registry {
    /// With the built-in `word_count`.
    #[must_use]
    pub fn built_in() -> Self {
        Self::default().register("word_count", |seed| {
            Ok(WordCount::new(seed.artifacts.clone()))
        })
    }

    /// Adds an agent; its factory makes the state of each life.
    #[must_use]
    pub fn register<A, F>(mut self, name: &str, factory: F) -> Self
    where
        A: Agent,
        F: Fn(Seed<'_>) -> Result<A, Failure> + Send + Sync + 'static,
    {
        let factory = Arc::new(factory);
        let child: Child = Arc::new(move |environment, settings| {
            hosted(factory.clone(), environment.clone(), settings.clone())
        });
        self.known.insert(name.to_owned(), child);
        self
    }

    /// The names there are, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.known.keys().map(String::as_str)
    }

    /// What starts the lives of an agent in Rust.
    pub(super) fn child(
        &self,
        agent: &AgentSpec,
        (actor, settings): (&str, &serde_json::Value),
        environment: &AgentEnvironment,
    ) -> Result<Arc<dyn ChildFactory>, UnknownActor> {
        let child = self.known.get(actor);
        let child = child.ok_or_else(|| self.unknown(agent, actor))?;
        Ok(child(environment, settings))
    }

    fn unknown(&self, agent: &AgentSpec, actor: &str) -> UnknownActor {
        UnknownActor {
            agent: agent.name.to_string(),
            actor: actor.to_owned(),
            known: self.names().collect::<Vec<_>>().join(", "),
            nearest: nearest(actor, self.names()).map(str::to_owned),
        }
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.known.keys()).finish()
    }
}

/// Puts an agent's factory on the supervised context.
fn hosted<A, F>(
    factory: Arc<F>,
    environment: AgentEnvironment,
    settings: serde_json::Value,
) -> Arc<dyn ChildFactory>
where
    A: Agent,
    F: Fn(Seed<'_>) -> Result<A, Failure> + Send + Sync + 'static,
{
    HostedChild::fallible(move |life: &Life| {
        let seed = Seed {
            instance: &life.instance,
            generation: life.generation,
            settings: &settings,
            artifacts: &environment.artifacts,
        };
        let agent = factory(seed).map_err(|failure| TaskError::from(failure).message)?;
        let surroundings = Surroundings {
            life: life.clone(),
            tasks: Arc::new(OpenTasks::new()),
            work: environment.work.clone(),
            runtime: environment.launcher.runtime().clone(),
        };
        Ok(ActorAgent::new(agent, surroundings))
    })
}
