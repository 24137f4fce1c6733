// Package plugincontainer replaces plugins in containers: the tests' Vault has built-in plugins only.
// Vault's SDK imports this package. The real one adds Docker's SDK to the build.
package plugincontainer

import (
	"errors"
	"os/exec"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/go-plugin/runner"
)

// Config has the fields that Vault's SDK sets.
type Config struct {
	Image, Tag, SHA256, Runtime, CgroupParent string
	Entrypoint, Args, Env                     []string
	Labels                                    map[string]string
	GroupAdd                                  int
	NanoCpus, Memory                          int64
	CapIPCLock, Rootless                      bool
}

func (*Config) NewContainerRunner(hclog.Logger, *exec.Cmd, string) (runner.Runner, error) {
	return nil, errors.New("plugincontainer is not built into the tests' Vault")
}
