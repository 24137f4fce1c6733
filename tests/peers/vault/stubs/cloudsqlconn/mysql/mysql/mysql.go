// Package mysql replaces the driver for MySQL in Google Cloud, for the same reason as cloudsqlconn.
package mysql

import "cloud.google.com/go/cloudsqlconn"

func RegisterDriver(string, ...cloudsqlconn.Option) (func() error, error) {
	return nil, cloudsqlconn.ErrNotBuilt
}
