// Command kube-apiserver is the Kubernetes API server and the etcd beneath it, in one binary, for
// the whole-product tests.
//
// What comes in: a program's name as the first argument and that program's own flags after it.
// What goes out: that program, running until it is told to stop. Nothing is decided here: the two
// servers are the real ones, and which flags they get is the business of the harness.
package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"k8s.io/component-base/cli"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
)

// usage names the programs that the binary can be.
const usage = "usage: %s etcd|kube-apiserver [flags]\n"

func main() {
	if len(os.Args) < 2 {
		fmt.Fprintf(os.Stderr, usage, filepath.Base(os.Args[0]))
		os.Exit(2)
	}
	program := os.Args[1]
	// The commands of Kubernetes read os.Args themselves.
	os.Args = append([]string{program}, os.Args[2:]...)
	switch program {
	case "etcd":
		if err := serveEtcd(os.Args[1:]); err != nil {
			fmt.Fprintf(os.Stderr, "etcd: %s\n", strings.TrimSpace(err.Error()))
			os.Exit(1)
		}
	case "kube-apiserver":
		os.Exit(cli.Run(apiserver.NewAPIServerCommand()))
	default:
		fmt.Fprintf(os.Stderr, usage, filepath.Base(os.Args[0]))
		os.Exit(2)
	}
}
