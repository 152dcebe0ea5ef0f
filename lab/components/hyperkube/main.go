// Command hyperkube is all of a cluster's programs in one file, so that they
// are linked once: etcd, kube-apiserver, kube-controller-manager,
// kube-scheduler, kubelet, kube-proxy and kubectl.
//
// It runs the program it is called as, by the name of the link to it, or else
// the one that its first argument names.
package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strings"

	"github.com/spf13/cobra"
	"go.etcd.io/etcd/server/v3/etcdmain"
	"k8s.io/component-base/cli"
	"k8s.io/component-base/logs"
	_ "k8s.io/component-base/logs/json/register"
	_ "k8s.io/component-base/metrics/prometheus/clientgo"
	_ "k8s.io/component-base/metrics/prometheus/version"
	kubectlcmd "k8s.io/kubectl/pkg/cmd"
	kubectlutil "k8s.io/kubectl/pkg/cmd/util"

	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	controllers "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	proxy "k8s.io/kubernetes/cmd/kube-proxy/app"
	scheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"
	kubelet "k8s.io/kubernetes/cmd/kubelet/app"
)

// A program takes its arguments from os.Args and returns its exit status.
type program func() int

// serve makes a program of one of Kubernetes' own server commands.
func serve(command func() *cobra.Command) program {
	return func() int { return cli.Run(command()) }
}

func kubectl() int {
	// kubectl's -v has to reach the logger before flags are parsed.
	if _, err := logs.GlogSetter(kubectlcmd.GetLogVerbosity(os.Args)); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	if err := cli.RunNoErrOutput(kubectlcmd.NewDefaultKubectlCommand()); err != nil {
		kubectlutil.CheckErr(err) // Prints as kubectl does, and ends the process.
	}
	return 0
}

func etcd() int {
	etcdmain.Main(os.Args) // Ends the process itself when something fails.
	return 0
}

var programs = map[string]program{
	"etcd":                    etcd,
	"kubectl":                 kubectl,
	"kube-apiserver":          serve(apiserver.NewAPIServerCommand),
	"kube-controller-manager": serve(func() *cobra.Command { return controllers.NewControllerManagerCommand() }),
	"kube-proxy":              serve(func() *cobra.Command { return proxy.NewProxyCommand() }),
	"kube-scheduler":          serve(func() *cobra.Command { return scheduler.NewSchedulerCommand() }),
	"kubelet":                 serve(func() *cobra.Command { return kubelet.NewKubeletCommand(context.Background()) }),
}

func usage() string {
	names := make([]string, 0, len(programs))
	for name := range programs {
		names = append(names, name)
	}
	sort.Strings(names)
	return "usage: hyperkube " + strings.Join(names, "|") + " [ARGUMENT...]"
}

func main() {
	run, known := programs[filepath.Base(os.Args[0])]
	if !known && len(os.Args) > 1 {
		run, known = programs[os.Args[1]]
		os.Args = os.Args[1:]
	}
	if !known {
		fmt.Fprintln(os.Stderr, usage())
		os.Exit(2)
	}
	os.Exit(run())
}
