module github.com/google/go-metrics-stackdriver

go 1.25.3

require github.com/armon/go-metrics v0.4.1
