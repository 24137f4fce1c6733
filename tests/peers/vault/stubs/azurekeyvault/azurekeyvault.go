// Package azurekeyvault replaces the auto-unseal with Azure Key Vault: the tests unseal with a key share.
// Vault's configuration imports this package. The real one adds the SDK of that cloud to the build.
package azurekeyvault

import (
	"context"
	"errors"

	wrapping "github.com/hashicorp/go-kms-wrapping/v2"
)

// Environment variables of the real package, which Vault lists.
const (
	EnvAzureKeyVaultWrapperVaultName = "AZUREKEYVAULT_WRAPPER_VAULT_NAME"
	EnvVaultAzureKeyVaultVaultName   = "VAULT_AZUREKEYVAULT_VAULT_NAME"
	EnvAzureKeyVaultWrapperKeyName   = "AZUREKEYVAULT_WRAPPER_KEY_NAME"
	EnvVaultAzureKeyVaultKeyName     = "VAULT_AZUREKEYVAULT_KEY_NAME"
)

// Wrapper cannot be configured, so no other method of the interface is reached.
type Wrapper struct{ wrapping.Wrapper }

func NewWrapper() *Wrapper { return &Wrapper{} }

func (*Wrapper) SetConfig(context.Context, ...wrapping.Option) (*wrapping.WrapperConfig, error) {
	return nil, errors.New("azurekeyvault is not built into the tests' Vault")
}

// WithDisallowEnvVars has no effect: no wrapper of this package accepts options.
func WithDisallowEnvVars(bool) wrapping.Option { return func() any { return nil } }
