# What the suites stand on: tools, a Python environment, npm packages, the release build. All cached, keyed by lock file.
# After `prepare SUITE...`, PATH has the pinned node and Python first, and PORTCULLIS_BIN is where the gateway is built.

export PORTCULLIS_CACHE=${PORTCULLIS_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/portcullis}
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$PORTCULLIS_CACHE/target}
export PORTCULLIS_BIN=$CARGO_TARGET_DIR/release/portcullis
export PORTCULLIS_IMAGE_BIN=$CARGO_TARGET_DIR/image/portcullis
export PORTCULLIS_OPERATOR_BIN=$CARGO_TARGET_DIR/release/portcullis-operator
repo=$(dirname "$tests")

source "$tests/lib/kubernetes.sh"

say() { printf '\n== %s\n' "$*"; }

# debian PACKAGE: installs it.
debian() {
  say "installing the Debian package $1"
  local sudo=; [ "$(id -u)" = 0 ] || sudo=sudo
  { $sudo apt-get update -q && $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends "$1"; } \
    > "$PORTCULLIS_CACHE/apt.log" 2>&1 && return
  tail -20 "$PORTCULLIS_CACHE/apt.log"
  echo "could not install $1" >&2
  return 1
}

# need COMMAND PACKAGE: installs the package where the command is missing.
need() { PATH=$PATH:/usr/sbin command -v "$1" >/dev/null || debian "$2"; }

# postgres_server: Debian keeps its commands out of the PATH.
postgres_server() { compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null || need initdb postgresql; }

# cached NAME LOCKFILE...: prints the folder for what these lock files name, and succeeds where it is complete.
cached() {
  local name=$1; shift
  local folder; folder=$PORTCULLIS_CACHE/$name-$(cat "$@" | sha256sum | cut -c1-16)
  echo "$folder"
  [ -e "$folder/.complete" ]
}

python_packages() {
  local folder
  if ! folder=$(cached python "$tests/requirements.txt"); then
    say "making a Python environment in $folder"
    rm -rf "$folder"
    python3 -m venv "$folder" || { rm -rf "$folder"; debian python3-venv && python3 -m venv "$folder"; } || return 1
    "$folder/bin/pip" --disable-pip-version-check install -q -r "$tests/requirements.txt" || return 1
    touch "$folder/.complete"
  fi
  export PATH=$folder/bin:$PATH
}

# npm_packages FOLDER NAME: what a folder's lock file names, and where the folder's own scripts find it.
npm_packages() {
  local folder
  if ! folder=$(cached "$2" "$1/package.json" "$1/package-lock.json"); then
    say "installing the npm packages in $folder"
    rm -rf "$folder" && mkdir -p "$folder" && cp "$1/package.json" "$1/package-lock.json" "$folder" || return 1
    (cd "$folder" && npm ci --no-audit --no-fund --loglevel=error) || return 1
    touch "$folder/.complete"
  fi
  # Scripts here import packages by name, and a module's imports are resolved from where its file lies.
  ln -sfn "$folder/node_modules" "$1/node_modules"
}

# rust_client: the program around the Rust SDK's client, built once for its lock file and source, and kept beside the other vendors' clients.
rust_client() {
  local crate=$tests/clients/vendors/rmcp folder
  if ! folder=$(cached rmcp-client "$crate/Cargo.toml" "$crate/Cargo.lock" "$crate/src/main.rs"); then
    say "building the Rust SDK's client in $folder"
    rm -rf "$folder"
    cargo build --quiet --locked --manifest-path "$crate/Cargo.toml" --target-dir "$folder/target" || return 1
    mv "$folder/target/debug/rmcp-client" "$folder/" && rm -rf "$folder/target" && touch "$folder/.complete" || return 1
  fi
  export PATH=$folder:$PATH
}

# go_program MODULE LINKER_FLAGS ARGUMENTS...: `go build` in a module's folder, with nothing of this machine's own settings.
go_program() {
  local module=$1 flags=$2; shift 2
  command -v go >/dev/null || { echo "the tests build Kubernetes and Vault from source and need Go" >&2; return 1; }
  (cd "$module" && CGO_ENABLED=0 GOTOOLCHAIN=local GOWORK=off GOFLAGS=-mod=readonly \
    nice -n "${PORTCULLIS_BUILD_NICE:-5}" go build -trimpath -buildvcs=false -ldflags "$flags" "$@")
}

# vault: the program around HashiCorp Vault, built once for its source and dependencies. Takes minutes the first time.
vault() {
  local module=$tests/peers/vault folder
  folder=$(cached vault "$module/go.mod" "$module/go.sum" "$module/main.go" $(find "$module/stubs" -type f | sort)) || (
    flock 9
    [ ! -e "$folder/.complete" ] || exit 0
    say "building HashiCorp Vault in $folder (once; a few minutes)"
    mkdir -p "$folder" && go_program "$module" '-s -w' -o "$folder/vault" . && touch "$folder/.complete"
  ) 9> "$folder.lock" || return 1
  export PATH=$folder:$PATH
}

# workflow_checker: actionlint, built once for its version.
workflow_checker() {
  local module=$tests/unit/actionlint folder
  if ! folder=$(cached actionlint "$module/go.mod" "$module/go.sum"); then
    say "building actionlint in $folder"
    rm -rf "$folder" && mkdir -p "$folder" || return 1
    go_program "$module" '-s -w' -o "$folder/" github.com/rhysd/actionlint/cmd/actionlint || return 1
    touch "$folder/.complete"
  fi
  export PATH=$folder:$PATH
}

# go_decoders: the decoders of the Go SDKs, built once for their source and dependencies.
go_decoders() {
  local module=$tests/differential/decoders/go folder
  if ! folder=$(cached go-decoders "$module"/go.mod "$module"/go.sum "$module"/*.go); then
    say "building the decoders of the Go SDKs in $folder"
    rm -rf "$folder" && mkdir -p "$folder" && go_program "$module" '-s -w' -o "$folder/decoders" . && touch "$folder/.complete" || return 1
  fi
  export PORTCULLIS_GO_DECODER=$folder/decoders
}

# java_decoder: the decoder of the Java SDK, with the jars whose hashes `jars.sha256` names.
java_decoder() {
  local module=$tests/differential/decoders/java folder
  need javac default-jdk-headless && need mvn maven || return 1
  if ! folder=$(cached java-decoder "$module"/pom.xml "$module"/jars.sha256 "$module"/src/*.java); then
    say "building the decoder of the Java SDK in $folder"
    rm -rf "$folder" && mkdir -p "$folder" || return 1
    mvn --quiet --batch-mode --file "$module/pom.xml" dependency:copy-dependencies -DoutputDirectory="$folder" || return 1
    (cd "$folder" && sha256sum --quiet --check "$module/jars.sha256" && [ "$(ls ./*.jar | wc -l)" = "$(wc -l < "$module/jars.sha256")" ]) || {
      echo "the jars in $folder are not those of $module/jars.sha256" >&2
      return 1
    }
    javac -nowarn -Xlint:-deprecation -cp "$folder/*" -d "$folder" "$module"/src/*.java && touch "$folder/.complete" || return 1
  fi
  export PORTCULLIS_JAVA_DECODER=$folder
}

# cargo_tool NAME VERSION OPTIONS...: a cargo subcommand, kept in the cache. PyPI has some of them ready-made; others are built from
# their crates, with these options of `cargo install`.
cargo_tool() {
  local name=$1 version=$2 folder
  shift 2
  folder=$PORTCULLIS_CACHE/tools-$name-$version
  if [ ! -x "$folder/bin/$name" ]; then
    say "installing $name $version"
    python -m pip --disable-pip-version-check install -q --no-deps --prefix "$folder" "astral-dev-toolchain-$name==$version" 2>"$PORTCULLIS_CACHE/pip.log" || {
      echo "no ready-made $name for this machine; building it"
      cargo install --quiet --locked --version "$version" --root "$folder" --target-dir "$folder/target" "$@" "$name" || return 1
      rm -rf "$folder/target"
    }
  fi
  export PATH=$folder/bin:$PATH
}

# Without optimizations it builds in less than half of the time, and it only lists mutants, in seconds.
mutants_tool() { cargo_tool cargo-mutants 27.1.0 --debug; }

# The programs, in one go: apart, they would be built with different features of the libraries that they share.
programs() {
  say "building the programs"
  (cd "$repo" && cargo build --release --locked --bin portcullis --bin portcullis-operator --bin portcullis-load) && return
  echo "failed to build the programs" >&2
  return 1
}

# The gateway as the published image contains it: without the demo and its origin.
image_gateway() {
  say "building the gateway for the image"
  (cd "$repo" && cargo build --release --locked --no-default-features --bin portcullis --bin portcullis-operator --bin portcullis-load) &&
    install -D "$PORTCULLIS_BIN" "$PORTCULLIS_IMAGE_BIN" && return
  echo "failed to build the gateway for the image" >&2
  return 1
}

# A container runtime, a pod network and a packet filter, as distributions have them, and a database.
node_packages() {
  need containerd containerd && need runc runc && need iptables iptables && need nft nftables && need conntrack conntrack || return 1
  need ip iproute2 && need strip binutils && postgres_server || return 1
  [ -x /usr/lib/cni/bridge ] || debian containernetworking-plugins
}

# prepare SUITE...: all that these suites need.
prepare() {
  mkdir -p "$PORTCULLIS_CACHE" || return 1
  need python3 python3 && need npm npm || return 1
  python_packages || { echo "the Python packages could not be installed" >&2; return 1; }
  npm_packages "$tests" npm || { echo "the npm packages could not be installed" >&2; return 1; }
  export PATH=$(readlink "$tests/node_modules")/.bin:$PATH
  case " $* " in
    *" clients "* | *" oauth "*)
      npm_packages "$tests/clients/vendors" vendors && rust_client || { echo "the vendors' clients could not be had" >&2; return 1; }
      ;;
  esac
  case " $* " in *" clients "* | *" oauth "* | *" kubernetes "* | *" node "*) vault || { echo "Vault could not be built" >&2; return 1; } ;; esac
  case " $* " in *" unit "*) cargo_tool cargo-deny 0.20.2 && cargo_tool cargo-shear 1.14.0 && workflow_checker ||
      { echo "failed to install cargo-deny, cargo-shear and actionlint" >&2; return 1; } ;; esac
  case " $* " in *" oauth "* | *" hostile "*) need unshare util-linux && need ip iproute2 || return 1 ;; esac
  case " $* " in *" fuzz "*) need g++ g++ && cargo_tool cargo-fuzz 0.13.2 || { echo "failed to install cargo-fuzz" >&2; return 1; } ;; esac
  case " $* " in *" mutants "*) mutants_tool || { echo "failed to install cargo-mutants" >&2; return 1; } ;; esac
  case " $* " in *" bench "*) need nginx nginx || return 1 ;; esac
  case " $* " in *" differential "*) go_decoders && java_decoder || { echo "the decoders of the SDKs could not be built" >&2; return 1; } ;; esac
  case " $* " in *" pages "*) need chromium chromium || return 1 ;; esac
  case " $* " in *" store "* | *" clients "*) postgres_server || return 1 ;; esac
  case " $* " in
    *" node "*) node_packages && kubernetes_binaries node && image_gateway || return 1 ;;
    *" kubernetes "* | *" scale "* | *" oauth "*) postgres_server && kubernetes_binaries api || return 1 ;;
  esac
  case "$*" in unit | store | fuzz | mutants | differential) ;; *) programs ;; esac
}
