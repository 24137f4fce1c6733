// Package okta replaces the client for Okta's API: the tests do not use login MFA. Vault's core imports
// this package. The real one is among the largest packages of the build.
package okta

import (
	"context"
	"errors"
	"net/http"
)

var errNotBuilt = errors.New("Okta is not built into the tests' Vault")

type ConfigSetter func(*Configuration)

type Configuration struct{ Context context.Context }

// NewConfiguration fails, so nothing below it is reached.
func NewConfiguration(...ConfigSetter) (*Configuration, error) { return nil, errNotBuilt }

func WithToken(string) ConfigSetter  { return nil }
func WithOrgUrl(string) ConfigSetter { return nil }
func WithCache(bool) ConfigSetter    { return nil }

type APIClient struct {
	UserAPI       userAPI
	UserFactorAPI userFactorAPI
}

func NewAPIClient(*Configuration) *APIClient { return &APIClient{} }

func (*APIClient) GetConfig() *Configuration { return &Configuration{} }

// call is a request whose response is a T.
type call[T any] struct{}

func (c call[T]) Filter(string) call[T] { return c }

func (call[T]) Execute() (T, *http.Response, error) {
	var none T
	return none, nil, errNotBuilt
}

type userAPI struct{}

func (userAPI) ListUsers(context.Context) call[[]User] { return call[[]User]{} }

type userFactorAPI struct{}

func (userFactorAPI) ListFactors(context.Context, string) call[[]Factor] { return call[[]Factor]{} }

func (userFactorAPI) VerifyFactor(context.Context, string, string) call[*Verification] {
	return call[*Verification]{}
}

func (userFactorAPI) GetFactorTransactionStatus(context.Context, string, string, string) call[*TransactionStatus] {
	return call[*TransactionStatus]{}
}

type User struct{}

func (User) GetId() string { return "" }

type Factor struct{ UserFactorPush *UserFactorPush }

type UserFactorPush struct{}

func (*UserFactorPush) GetId() string { return "" }

type Verification struct{ Links map[string]any }

func (*Verification) GetFactorResult() string { return "" }

type TransactionStatus struct {
	UserFactorPushTransactionWaiting  *struct{}
	UserFactorPushTransaction         *struct{}
	UserFactorPushTransactionRejected *struct{}
	UserFactorPushTransactionTimeout  *struct{}
}
