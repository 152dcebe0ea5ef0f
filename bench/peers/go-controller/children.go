package main

import (
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"
)

const (
	labelApp       = "app"
	labelType      = "ollama.ayaka.io/type"
	labelModel     = "model.ollama.ayaka.io"
	labelModelName = "model.ollama.ayaka.io/name"
	labelManagedBy = "app.kubernetes.io/managed-by"

	toolsDirectory  = "/run/ollama-operator"
	modelsDirectory = "/models"
	homeDirectory   = "/home/ollama"
	ollamaPort      = 11434
	unprivileged    = 65532
)

type settings struct {
	image          string
	serverImage    string
	storeURL       string
	storeDirectory string
}

func childName(m *Model) string { return "ollama-model-" + m.Name }

func childMeta(m *Model) metav1.ObjectMeta {
	return metav1.ObjectMeta{
		Name:      childName(m),
		Namespace: m.Namespace,
		Labels:    childLabels(m),
		OwnerReferences: []metav1.OwnerReference{
			*metav1.NewControllerRef(m, groupVersion.WithKind("Model")),
		},
	}
}

func childLabels(m *Model) map[string]string {
	return map[string]string{
		labelApp:       childName(m),
		labelType:      "model",
		labelModel:     m.Name,
		labelModelName: m.Name,
		labelManagedBy: "ollama-operator",
	}
}

func containerSecurity() *corev1.SecurityContext {
	return &corev1.SecurityContext{
		AllowPrivilegeEscalation: ptr.To(false),
		ReadOnlyRootFilesystem:   ptr.To(true),
		Capabilities:             &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
	}
}

func podUID() corev1.EnvVar {
	return corev1.EnvVar{Name: "POD_UID", ValueFrom: &corev1.EnvVarSource{
		FieldRef: &corev1.ObjectFieldSelector{APIVersion: "v1", FieldPath: "metadata.uid"},
	}}
}

func fetchContainer(m *Model, s *settings) corev1.Container {
	policy := m.Spec.ImagePullPolicy
	if policy == "" {
		policy = corev1.PullIfNotPresent
	}
	return corev1.Container{
		Name:            "fetch",
		Image:           s.image,
		ImagePullPolicy: corev1.PullIfNotPresent,
		Args: []string{"fetch", "--image", m.Spec.Image, "--model", m.Namespace + "/" + m.Name,
			"--pull-policy", string(policy), "--store", s.storeURL, "--install-to", toolsDirectory},
		Env:          []corev1.EnvVar{podUID()},
		VolumeMounts: []corev1.VolumeMount{{Name: "tools", MountPath: toolsDirectory}},
		Resources: corev1.ResourceRequirements{
			Requests: corev1.ResourceList{
				corev1.ResourceCPU:    resource.MustParse("10m"),
				corev1.ResourceMemory: resource.MustParse("16Mi"),
			},
			Limits: corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("64Mi")},
		},
		SecurityContext: containerSecurity(),
	}
}

func httpProbe(period, failures int32) *corev1.Probe {
	return &corev1.Probe{
		ProbeHandler: corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{
			Path: "/", Port: intstr.FromString("ollama"),
		}},
		PeriodSeconds:    period,
		TimeoutSeconds:   5,
		FailureThreshold: failures,
		SuccessThreshold: 1,
	}
}

func serverEnv(m *Model) []corev1.EnvVar {
	env := []corev1.EnvVar{
		podUID(),
		{Name: "HOME", Value: homeDirectory},
		{Name: "OLLAMA_HOST", Value: "0.0.0.0:11434"},
		{Name: "OLLAMA_MODELS", Value: modelsDirectory},
		{Name: "OLLAMA_NOPRUNE", Value: "1"},
		{Name: "OLLAMA_NO_CLOUD", Value: "1"},
		{Name: "OLLAMA_KEEP_ALIVE", Value: "-1"},
		{Name: "OLLAMA_CONTEXT_LENGTH", Value: "4096"},
		{Name: "OLLAMA_NUM_PARALLEL", Value: "1"},
	}
	return append(env, m.Spec.ExtraEnv...)
}

func serverContainer(m *Model, s *settings) corev1.Container {
	image := m.Spec.ServerImage
	if image == "" {
		image = s.serverImage
	}
	return corev1.Container{
		Name:            "server",
		Image:           image,
		ImagePullPolicy: corev1.PullIfNotPresent,
		Args:            []string{"serve"},
		Ports: []corev1.ContainerPort{
			{Name: "ollama", ContainerPort: ollamaPort, Protocol: corev1.ProtocolTCP},
		},
		Env:       serverEnv(m),
		EnvFrom:   m.Spec.ExtraEnvFrom,
		Resources: m.Spec.Resources,
		StartupProbe: &corev1.Probe{
			ProbeHandler: corev1.ProbeHandler{Exec: &corev1.ExecAction{
				Command: []string{toolsDirectory + "/ollama-operator", "probe", "--model", m.Spec.Image},
			}},
			PeriodSeconds:    2,
			TimeoutSeconds:   3600,
			FailureThreshold: 3,
			SuccessThreshold: 1,
		},
		ReadinessProbe: httpProbe(5, 3),
		LivenessProbe:  httpProbe(10, 6),
		VolumeMounts: []corev1.VolumeMount{
			{Name: "models", MountPath: modelsDirectory, SubPathExpr: "pods/$(POD_UID)", ReadOnly: true},
			{Name: "tools", MountPath: toolsDirectory, ReadOnly: true},
			{Name: "home", MountPath: homeDirectory},
			{Name: "tmp", MountPath: "/tmp"},
		},
		SecurityContext: containerSecurity(),
	}
}

func volumes(s *settings) []corev1.Volume {
	list := []corev1.Volume{{Name: "models", VolumeSource: corev1.VolumeSource{
		HostPath: &corev1.HostPathVolumeSource{
			Path: s.storeDirectory, Type: ptr.To(corev1.HostPathDirectoryOrCreate),
		},
	}}}
	for _, name := range []string{"tools", "home", "tmp"} {
		list = append(list, corev1.Volume{Name: name, VolumeSource: corev1.VolumeSource{
			EmptyDir: &corev1.EmptyDirVolumeSource{},
		}})
	}
	return list
}

func podTemplate(m *Model, s *settings) corev1.PodTemplateSpec {
	return corev1.PodTemplateSpec{
		ObjectMeta: metav1.ObjectMeta{
			Labels:      childLabels(m),
			Annotations: map[string]string{"ollama.ayaka.io/model": m.Name},
		},
		Spec: corev1.PodSpec{
			AutomountServiceAccountToken:  ptr.To(false),
			EnableServiceLinks:            ptr.To(false),
			TerminationGracePeriodSeconds: ptr.To[int64](30),
			RuntimeClassName:              m.Spec.RuntimeClassName,
			ImagePullSecrets:              m.Spec.ImagePullSecrets,
			SecurityContext: &corev1.PodSecurityContext{
				RunAsNonRoot:   ptr.To(true),
				RunAsUser:      ptr.To[int64](unprivileged),
				RunAsGroup:     ptr.To[int64](unprivileged),
				FSGroup:        ptr.To[int64](unprivileged),
				SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
			},
			InitContainers: []corev1.Container{fetchContainer(m, s)},
			Containers:     []corev1.Container{serverContainer(m, s)},
			Volumes:        volumes(s),
		},
	}
}

func desiredDeployment(m *Model, s *settings) *appsv1.Deployment {
	return &appsv1.Deployment{
		TypeMeta:   metav1.TypeMeta{APIVersion: "apps/v1", Kind: "Deployment"},
		ObjectMeta: childMeta(m),
		Spec: appsv1.DeploymentSpec{
			Replicas: ptr.To(m.wantedReplicas()),
			Selector: &metav1.LabelSelector{MatchLabels: map[string]string{labelApp: childName(m)}},
			Strategy: appsv1.DeploymentStrategy{
				Type: appsv1.RollingUpdateDeploymentStrategyType,
				RollingUpdate: &appsv1.RollingUpdateDeployment{
					MaxSurge: ptr.To(intstr.FromInt32(1)), MaxUnavailable: ptr.To(intstr.FromInt32(0)),
				},
			},
			Template: podTemplate(m, s),
		},
	}
}

func desiredService(m *Model) *corev1.Service {
	return &corev1.Service{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Service"},
		ObjectMeta: childMeta(m),
		Spec: corev1.ServiceSpec{
			Type:     corev1.ServiceTypeClusterIP,
			Selector: map[string]string{labelApp: childName(m)},
			Ports: []corev1.ServicePort{{
				Name: "ollama", Port: ollamaPort, Protocol: corev1.ProtocolTCP,
				TargetPort: intstr.FromString("ollama"),
			}},
		},
	}
}

// Ollama's full name of an image, for the status.
func fullImage(image string) string {
	if !strings.Contains(image, "/") {
		image = "library/" + image
	}
	if strings.Count(image, "/") == 1 {
		image = "registry.ollama.ai/" + image
	}
	if !strings.Contains(image[strings.LastIndex(image, "/"):], ":") {
		image += ":latest"
	}
	return image
}
