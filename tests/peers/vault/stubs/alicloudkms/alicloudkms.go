// Package alicloudkms replaces the auto-unseal with Alibaba Cloud KMS: the tests unseal with a key share.
// Vault's configuration imports this package. The real one adds the SDK of that cloud to the build.
package alicloudkms

import (
	"context"
	"errors"

	wrapping "github.com/hashicorp/go-kms-wrapping/v2"
)

// Environment variables of the real package, which Vault lists.
const (
	EnvAliCloudKmsWrapperKeyId   = "ALICLOUDKMS_WRAPPER_KEY_ID"
	EnvVaultAliCloudKmsSealKeyId = "VAULT_ALICLOUDKMS_SEAL_KEY_ID"
)

// Wrapper cannot be configured, so no other method of the interface is reached.
type Wrapper struct{ wrapping.Wrapper }

func NewWrapper() *Wrapper { return &Wrapper{} }

func (*Wrapper) SetConfig(context.Context, ...wrapping.Option) (*wrapping.WrapperConfig, error) {
	return nil, errors.New("alicloudkms is not built into the tests' Vault")
}
