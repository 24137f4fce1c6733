// Package cloudsqlconn replaces connections to databases in Google Cloud: the tests do not use the database
// secrets engine. Vault's SDK imports this package. The real one adds Google's SDK to the build.
package cloudsqlconn

import "errors"

// ErrNotBuilt is the result of every registration of a driver.
var ErrNotBuilt = errors.New("Cloud SQL is not built into the tests' Vault")

type Option struct{}

type DialOption struct{}

func WithIAMAuthN() Option                        { return Option{} }
func WithCredentialsJSON([]byte) Option           { return Option{} }
func WithDefaultDialOptions(...DialOption) Option { return Option{} }
func WithPrivateIP() DialOption                   { return DialOption{} }
func WithPSC() DialOption                         { return DialOption{} }
