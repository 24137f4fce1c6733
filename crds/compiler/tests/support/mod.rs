//! A valid folder of manifests, and edits of it.

#![allow(dead_code, reason = "each test binary uses some of it")]

use portcullis_compiler::{Compiled, Diagnostic, compile, read};

pub(crate) const GATEWAY: &str = "
apiVersion: portcullis.dev/v1alpha1
kind: McpGateway
metadata: {name: gateway}
spec:
  publicUrl: http://127.0.0.1:8080
  identityProviders:
    - name: company
      oidc: {issuer: 'https://idp.example.com', clientId: portcullis, clientSecretRef: {name: idp, key: clientSecret}}
  tenancy:
    - {namespaces: [default], everyone: true, privateNetworks: [127.0.0.0/8]}
";
pub(crate) const IDP: &str = "
apiVersion: v1
kind: Secret
metadata: {name: idp, labels: {portcullis.dev/credential: 'true'}}
stringData: {clientSecret: not very secret}
";
pub(crate) const ORIGIN: &str = "
apiVersion: portcullis.dev/v1alpha1
kind: OriginMcp
metadata: {name: linear}
spec: {url: 'https://mcp.linear.app/mcp', auth: {none: {}}}
";
pub(crate) const VIRTUAL: &str = "
apiVersion: portcullis.dev/v1alpha1
kind: VirtualMcp
metadata: {name: linear-read}
spec: {origins: [{name: linear}], access: Everyone}
";
pub(crate) const TEAM: &str = "
apiVersion: portcullis.dev/v1alpha1
kind: Team
metadata: {name: finance}
spec: {members: {groups: [finance]}, access: [{virtualMcp: linear-read}]}
";

/// The documents of a folder.
#[derive(Clone)]
pub(crate) struct Folder(Vec<String>);

impl Folder {
    /// A valid folder.
    pub(crate) fn sound() -> Self {
        Self([GATEWAY, IDP, ORIGIN, VIRTUAL, TEAM].map(str::to_owned).to_vec())
    }

    /// Replaces a text, which must occur.
    pub(crate) fn edit(mut self, from: &str, to: &str) -> Self {
        let before = self.0.clone();
        self.0.iter_mut().for_each(|text| *text = text.replace(from, to));
        assert_ne!(before, self.0, "'{from}' is not in the folder");
        self
    }

    /// Adds a document.
    pub(crate) fn add(mut self, text: &str) -> Self {
        self.0.push(text.to_owned());
        self
    }

    /// Removes the documents of a kind.
    pub(crate) fn without(mut self, kind: &str) -> Self {
        self.0.retain(|text| !text.contains(&format!("kind: {kind}\n")));
        self
    }

    /// Reverses the order of the documents.
    pub(crate) fn reversed(mut self) -> Self {
        self.0.reverse();
        self
    }

    /// Reads and compiles the folder. Diagnostics of reading come first.
    pub(crate) fn compile(&self) -> Compiled {
        let (resources, mut diagnostics) = read(self.0.iter().map(|text| ("all.yaml", text.as_str())));
        let compiled = compile(&resources);
        diagnostics.extend(compiled.diagnostics);
        Compiled { config: compiled.config, diagnostics }
    }

    /// All diagnostics, one per line.
    pub(crate) fn report(&self) -> String {
        self.compile().diagnostics.iter().map(Diagnostic::to_string).collect::<Vec<_>>().join("\n")
    }
}
