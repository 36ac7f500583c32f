//! `docker-compose.yml` brings what the tests and the examples ask for, under the addresses its comments promise.

use std::collections::{BTreeMap, BTreeSet};

use larder_tests::names::{self, Name};
use yaml_rust2::{Yaml, YamlLoader};

const FILE: &str = include_str!("../../docker-compose.yml");

fn services() -> BTreeMap<String, Yaml> {
    let documents = YamlLoader::load_from_str(FILE).expect("docker-compose.yml is YAML");
    let services = documents[0]["services"].as_hash().expect("a map of services").clone();
    services.into_iter().map(|(name, service)| (name.into_string().expect("a name"), service)).collect()
}

/// A service's own field, or the one it merges in by `<<`, which the parser leaves to its reader.
fn field<'a>(service: &'a Yaml, name: &str) -> &'a Yaml {
    let own = &service[name];
    if own.is_badvalue() { &service["<<"][name] } else { own }
}

/// The host's ports and the container's, of a service that publishes them on loopback.
fn ports(service: &Yaml) -> Vec<(u16, u16)> {
    let ports = field(service, "ports").as_vec().expect("published ports");
    let port = |port: &Yaml| {
        let parts: Vec<_> = port.as_str().expect("a port in quotes").split(':').collect();
        let [host, outside, inside] = parts[..] else { panic!("host:port:port, not {parts:?}") };
        assert_eq!(host, "127.0.0.1", "open to this machine only");
        (outside.parse().expect("a port"), inside.parse().expect("a port"))
    };
    ports.iter().map(port).collect()
}

/// The first of them: the others are those of servers that the first one names to its clients, under the same numbers inside and outside.
fn port(service: &Yaml) -> (u16, u16) {
    let ports = ports(service);
    assert!(ports.len() == 1 || ports.iter().all(|(outside, inside)| outside == inside), "{ports:?}");
    ports[0]
}

/// The `export NAME=value` lines of the comments.
fn exports() -> BTreeMap<&'static str, &'static str> {
    let exports = FILE.lines().filter_map(|line| line.strip_prefix("#   export "));
    exports.map(|line| line.split_once('=').expect("NAME=value")).collect()
}

/// Every port in an address or a list of addresses.
fn ports_in(address: &str) -> BTreeSet<u16> {
    address
        .split(',')
        .map(|one| one.rsplit(':').next().unwrap_or(one).split(['/', '?']).next().unwrap_or(one))
        .map(|p| p.parse().expect("a port"))
        .collect()
}

fn in_compose() -> Vec<Name> {
    names::ALL.into_iter().filter(|name| !name.compose.is_empty()).collect()
}

#[test]
fn the_images_are_those_of_the_servers_we_speak_to() {
    let expected = [
        ("httpbin", "kennethreitz/httpbin", 80),
        ("mariadb", "mariadb", 3306),
        ("memcached-1", "memcached", 11211),
        ("memcached-2", "memcached", 11211),
        ("memcached-3", "memcached", 11211),
        ("postgres", "postgres", 5432),
        ("redis", "redis", 6379),
        ("redis-cluster", "redis", 7001),
        ("redis-sentinel", "redis", 26379),
    ];
    let services = services();
    let found: Vec<_> = services
        .iter()
        .map(|(name, service)| {
            let image = field(service, "image").as_str().expect("an image");
            (name.as_str(), image.split(':').next().unwrap_or(image), port(service).1)
        })
        .collect();
    assert_eq!(found, expected);
}

#[test]
fn the_export_lines_name_what_xtask_reads_and_the_ports_that_are_open() {
    let (services, exports) = (services(), exports());
    for name in in_compose() {
        let address = exports.get(name.env).unwrap_or_else(|| panic!("no export line for {}", name.env));
        let open: BTreeSet<_> = name.compose.iter().map(|service| port(&services[*service]).0).collect();
        let all = name.compose.iter().flat_map(|service| ports(&services[*service]));
        let all: BTreeSet<_> = all.map(|(outside, _)| outside).collect();
        let named = ports_in(address);
        assert!(named.is_superset(&open) && named.is_subset(&all), "{}: {named:?}", name.env);
    }
    assert_eq!(exports.len(), in_compose().len(), "an export line that nothing reads: {exports:?}");
}

#[test]
fn the_database_urls_carry_the_user_the_password_and_the_database_of_the_service() {
    let (services, exports) = (services(), exports());
    for (name, prefix) in [(names::POSTGRES, "POSTGRES"), (names::MARIADB, "MARIADB")] {
        let environment = &services[name.compose[0]]["environment"];
        let database = if prefix == "POSTGRES" { "DB" } else { "DATABASE" };
        let [user, password, database] = ["USER", "PASSWORD", database]
            .map(|part| environment[format!("{prefix}_{part}").as_str()].as_str().expect("set"));
        let url = exports[name.env];
        assert!(
            url.contains(&format!("://{user}:{password}@")) && url.ends_with(&format!("/{database}")),
            "{url}"
        );
    }
}

#[test]
fn every_service_has_a_health_check_so_that_wait_waits() {
    for (name, service) in services() {
        assert!(field(&service, "healthcheck")["test"].is_array(), "{name} has no health check");
    }
}

#[test]
fn the_command_for_the_delay_example_points_at_the_httpbin_port() {
    let (outside, _) = port(&services()["httpbin"]);
    let command = format!("cargo run --release -p delay -- --httpbin http://127.0.0.1:{outside}\n");
    assert!(FILE.contains(&command), "docker-compose.yml does not say: {command}");
}

#[test]
fn no_two_services_want_the_same_port() {
    let services = services();
    let all: Vec<_> = services.values().flat_map(ports).map(|(outside, _)| outside).collect();
    assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), all.len(), "{all:?}");
}
