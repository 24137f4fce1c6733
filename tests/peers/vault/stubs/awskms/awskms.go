// Package awskms replaces the auto-unseal with AWS KMS: the tests unseal with a key share. Vault's
// configuration imports this package. The real one adds the SDK of that cloud to the build.
package awskms

import (
	"context"
	"errors"

	"github.com/hashicorp/go-hclog"
	wrapping "github.com/hashicorp/go-kms-wrapping/v2"
)

// Environment variables of the real package, which Vault lists.
const (
	EnvAwsKmsWrapperKeyId   = "AWSKMS_WRAPPER_KEY_ID"
	EnvVaultAwsKmsSealKeyId = "VAULT_AWSKMS_SEAL_KEY_ID"
)

// Wrapper cannot be configured, so no other method of the interface is reached.
type Wrapper struct{ wrapping.Wrapper }

func NewWrapper() *Wrapper { return &Wrapper{} }

func (*Wrapper) SetConfig(context.Context, ...wrapping.Option) (*wrapping.WrapperConfig, error) {
	return nil, errors.New("awskms is not built into the tests' Vault")
}

// WithDisallowEnvVars has no effect: no wrapper of this package accepts options.
func WithDisallowEnvVars(bool) wrapping.Option { return func() any { return nil } }

// WithLogger has no effect. Vault passes it to the Shamir wrapper, which ignores the options of other packages.
// This is also true of the real WithLogger.
func WithLogger(hclog.Logger) wrapping.Option { return func() any { return nil } }
