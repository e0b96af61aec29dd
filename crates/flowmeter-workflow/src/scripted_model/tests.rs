//! Tests of the life of a scripted server; never of what it answers, which the chat tests see.

use super::*;

#[tokio::test]
async fn a_stopped_server_gives_its_port_back() {
    let server = ScriptedModel::start(Script::new()).await.unwrap();
    let address = server.address();
    server.stop().await;
    assert!(tokio::net::TcpStream::connect(address).await.is_err());
}
