// Package pgxv4 replaces the driver for PostgreSQL in Google Cloud, for the same reason as cloudsqlconn.
package pgxv4

import "cloud.google.com/go/cloudsqlconn"

func RegisterDriver(string, ...cloudsqlconn.Option) (func() error, error) {
	return nil, cloudsqlconn.ErrNotBuilt
}
