// Package option replaces the options of Google's SDK. Vault's configuration passes one to the client of
// the stub `monitoring`.
package option

func WithUserAgent(string) any { return nil }
