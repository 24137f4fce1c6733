# The binaries of a real Kubernetes: Go modules without code of our own (tests/kubernetes/binaries), built once and kept in the cache,
# keyed by version. KUBERNETES_BIN is the folder. The suites that only talk to an API server honour KUBEBUILDER_ASSETS, a folder that
# contains etcd, kube-apiserver and kubectl.

kubernetes_version=$(sed -nE 's/^require k8s.io\/kubernetes v(.*)/\1/p' "$tests/kubernetes/binaries/kubernetes/go.mod")
kubernetes_folder=$PORTCULLIS_CACHE/kubernetes-$kubernetes_version

# go_build MODULE PACKAGE...: into the folder. The flags stay as they are: others would build everything anew.
go_build() {
  local module=$1 minor; shift
  minor=${kubernetes_version#*.}; minor=${minor%.*}
  local stamp=k8s.io/component-base/version
  local flags="-s -w -X $stamp.gitVersion=v$kubernetes_version -X $stamp.gitMajor=${kubernetes_version%%.*}"
  flags+=" -X $stamp.gitMinor=$minor -X $stamp.gitTreeState=clean"
  go_program "$tests/kubernetes/binaries/$module" "$flags" -o "$kubernetes_folder/" "$@"
}

# One build for all components: they share most packages.
kubernetes_components() {
  go_build etcd go.etcd.io/etcd/server/v3 && mv "$kubernetes_folder/server" "$kubernetes_folder/etcd" &&
    go_build kubernetes k8s.io/kubernetes/cmd/{kube-apiserver,kubectl,kube-controller-manager,kube-scheduler,kubelet,kube-proxy} &&
    go_build helm helm.sh/helm/v4/cmd/helm
}

# kubernetes_binaries LEVEL: `api` or `node`.
kubernetes_binaries() {
  if [ "$1" = api ] && [ -n "${KUBEBUILDER_ASSETS:-}" ]; then
    local each
    for each in etcd kube-apiserver kubectl; do
      [ -x "$KUBEBUILDER_ASSETS/$each" ] || { echo "KUBEBUILDER_ASSETS has no $each" >&2; return 1; }
    done
    export KUBERNETES_BIN=$KUBEBUILDER_ASSETS
    return
  fi
  mkdir -p "$kubernetes_folder" || return 1
  (
    flock 9
    [ ! -e "$kubernetes_folder/.complete" ] || exit 0
    say "building Kubernetes $kubernetes_version in $kubernetes_folder (once; about ten minutes)"
    kubernetes_components && touch "$kubernetes_folder/.complete"
  ) 9> "$kubernetes_folder/.lock" || return 1
  export KUBERNETES_BIN=$kubernetes_folder
}
