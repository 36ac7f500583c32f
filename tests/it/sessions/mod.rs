//! Sessions and pages together: whatever store holds the sessions, wherever the session layer stands, and whatever the caching layer was
//! told about cookies, nobody is shown another's page.

mod cookies;
mod login;
mod pages;
mod shop;
