// Package monitoring replaces the client for Google Cloud Monitoring: the tests do not configure telemetry.
// Vault's configuration imports this package. The real one adds Google's SDK to the build.
package monitoring

import (
	"context"
	"errors"
)

type MetricClient struct{}

func NewMetricClient(context.Context, ...any) (*MetricClient, error) {
	return nil, errors.New("Google Cloud Monitoring is not built into the tests' Vault")
}
