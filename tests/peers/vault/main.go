// HashiCorp Vault in memory, with the parts that the gateway uses: the transit secrets engine and the Kubernetes
// auth method. Vault's own program also contains databases and clouds, and takes many times as long to compile.
//
// It starts uninitialized and is set up through its API, like any Vault.
package main

import (
	"flag"
	"log"
	"net/http"

	"github.com/hashicorp/go-hclog"
	kubernetes "github.com/hashicorp/vault-plugin-auth-kubernetes"
	"github.com/hashicorp/vault/builtin/logical/transit"
	vaulthttp "github.com/hashicorp/vault/http"
	"github.com/hashicorp/vault/internalshared/configutil"
	"github.com/hashicorp/vault/sdk/helper/consts"
	"github.com/hashicorp/vault/sdk/logical"
	"github.com/hashicorp/vault/sdk/physical/inmem"
	"github.com/hashicorp/vault/vault"
)

// noPlugins is an empty catalog: the core receives its two plugins directly (CoreConfig).
type noPlugins struct{}

func (noPlugins) Contains(string, consts.PluginType) bool                   { return false }
func (noPlugins) Get(string, consts.PluginType) (func() (any, error), bool) { return nil, false }
func (noPlugins) Keys(consts.PluginType) []string                           { return nil }
func (noPlugins) IsBuiltinEntPlugin(string, consts.PluginType) bool         { return false }
func (noPlugins) DeprecationStatus(string, consts.PluginType) (consts.DeprecationStatus, bool) {
	return consts.Unknown, false
}

func main() {
	address := flag.String("address", "", "address and port to listen on")
	certificate := flag.String("certificate", "", "file with the server certificate, in PEM")
	key := flag.String("key", "", "file with the key of the certificate")
	flag.Parse()

	logger := hclog.New(&hclog.LoggerOptions{Level: hclog.Info})
	storage, err := inmem.NewInmem(nil, logger)
	if err != nil {
		log.Fatal(err)
	}
	core, err := vault.NewCore(&vault.CoreConfig{
		Physical:           storage,
		LogicalBackends:    map[string]logical.Factory{"transit": transit.Factory},
		CredentialBackends: map[string]logical.Factory{"kubernetes": kubernetes.Factory},
		BuiltinRegistry:    noPlugins{},
		DisableMlock:       true,
		Logger:             logger,
	})
	if err != nil {
		log.Fatal(err)
	}
	handler := vaulthttp.Handler.Handler(&vault.HandlerProperties{Core: core, ListenerConfig: &configutil.Listener{}})
	log.Fatal(http.ListenAndServeTLS(*address, *certificate, *key, handler))
}
