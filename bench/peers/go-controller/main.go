// A peer for bench/manager: what a Go engineer would write for the same Models, with the usual
// means (controller-runtime, typed objects, caches without managedFields, server-side apply, status
// patches). It makes the same Deployment and Service and the same status; it watches no Pods and
// writes no Events, so it has less to do than the manager it stands beside.
package main

import (
	"flag"
	"os"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"
	"sigs.k8s.io/controller-runtime/pkg/metrics/server"
)

func main() {
	var s settings
	qps := flag.Float64("qps", -1, "requests a second; -1: no limit, controller-runtime's own default since v0.21")
	burst := flag.Int("burst", 30, "requests at once above --qps")
	workers := flag.Int("workers", 1, "MaxConcurrentReconciles")
	elect := flag.Bool("leader-elect", false, "hold a Lease")
	namespace := flag.String("namespace", "ollama-operator-system", "of the Lease")
	health := flag.String("health-address", "0", "where /readyz answers; 0: nowhere")
	flag.StringVar(&s.image, "image", "ollama-operator:bench", "of the init container")
	flag.StringVar(&s.serverImage, "server-image", "docker.io/ollama/ollama:0.33.0", "of the server")
	flag.StringVar(&s.storeURL, "store-url", "http://ollama-model-store.ollama-operator-system.svc:11435", "for the init container")
	flag.StringVar(&s.storeDirectory, "store-directory", "/var/lib/ollama-operator", "on each node")
	flag.Parse() // --kubeconfig is controller-runtime's own

	ctrl.SetLogger(zap.New())
	if err := run(&s, float32(*qps), *burst, *workers, *elect, *namespace, *health); err != nil {
		ctrl.Log.Error(err, "the end")
		os.Exit(1)
	}
}

func run(s *settings, qps float32, burst, workers int, elect bool, namespace, health string) error {
	scheme := runtime.NewScheme()
	if err := clientgoscheme.AddToScheme(scheme); err != nil {
		return err
	}
	if err := addToScheme(scheme); err != nil {
		return err
	}
	config, err := ctrl.GetConfig()
	if err != nil {
		return err
	}
	config.QPS, config.Burst = qps, burst
	config.UserAgent = "go-controller"
	children := cache.ByObject{Label: labels.SelectorFromSet(labels.Set{labelType: "model"})}
	mgr, err := ctrl.NewManager(config, ctrl.Options{
		Scheme:                        scheme,
		Metrics:                       server.Options{BindAddress: "0"},
		HealthProbeBindAddress:        health,
		LeaderElection:                elect,
		LeaderElectionID:              "go-controller",
		LeaderElectionNamespace:       namespace,
		LeaderElectionReleaseOnCancel: true,
		Cache: cache.Options{
			DefaultTransform: cache.TransformStripManagedFields(),
			ByObject: map[client.Object]cache.ByObject{
				&appsv1.Deployment{}: children,
				&corev1.Service{}:    children,
			},
		},
	})
	if err != nil {
		return err
	}
	if err := (&modelReconciler{Client: mgr.GetClient(), settings: *s}).setup(mgr, workers); err != nil {
		return err
	}
	return mgr.Start(ctrl.SetupSignalHandler())
}
