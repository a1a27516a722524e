//! Claims about whole configurations.

use std::collections::BTreeMap;

use super::*;

fn request(vars: &[(&str, &str)]) -> LoadRequest {
    let vars = vars.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned()));
    LoadRequest {
        vars: vars.collect::<BTreeMap<_, _>>(),
        ..LoadRequest::default()
    }
}

#[test]
fn the_defaults_of_development_are_whole() {
    let config = Config::load(request(&[])).unwrap();
    assert_eq!(config.environment(), Environment::Development);
    assert_eq!(config.agents().len(), 4);
    assert_eq!(config.warnings(), [""; 0]);
    assert_eq!(config.database().path, Path::new("./data/agent-system.db"));
}
