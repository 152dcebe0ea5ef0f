package main

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

var groupVersion = schema.GroupVersion{Group: "ollama.ayaka.io", Version: "v1"}

// Model is the custom resource, as far as this controller reads and writes it.
type Model struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec   ModelSpec   `json:"spec"`
	Status ModelStatus `json:"status,omitempty"`
}

type ModelSpec struct {
	Image            string                        `json:"image"`
	Replicas         *int32                        `json:"replicas,omitempty"`
	ServerImage      string                        `json:"serverImage,omitempty"`
	ImagePullPolicy  corev1.PullPolicy             `json:"imagePullPolicy,omitempty"`
	ImagePullSecrets []corev1.LocalObjectReference `json:"imagePullSecrets,omitempty"`
	Resources        corev1.ResourceRequirements   `json:"resources,omitempty"`
	RuntimeClassName *string                       `json:"runtimeClassName,omitempty"`
	ExtraEnv         []corev1.EnvVar               `json:"extraEnv,omitempty"`
	ExtraEnvFrom     []corev1.EnvFromSource        `json:"extraEnvFrom,omitempty"`
	Suspend          bool                          `json:"suspend,omitempty"`
}

type ModelStatus struct {
	ObservedGeneration  int64       `json:"observedGeneration,omitempty"`
	Phase               string      `json:"phase,omitempty"`
	Message             string      `json:"message,omitempty"`
	URL                 string      `json:"url,omitempty"`
	Image               string      `json:"image,omitempty"`
	Replicas            int32       `json:"replicas"`
	ReadyReplicas       int32       `json:"readyReplicas"`
	AvailableReplicas   int32       `json:"availableReplicas"`
	UnavailableReplicas int32       `json:"unavailableReplicas"`
	Conditions          []Condition `json:"conditions,omitempty"`
}

type Condition struct {
	Type               string                 `json:"type"`
	Status             metav1.ConditionStatus `json:"status"`
	Reason             string                 `json:"reason,omitempty"`
	Message            string                 `json:"message,omitempty"`
	ObservedGeneration int64                  `json:"observedGeneration,omitempty"`
	LastTransitionTime metav1.Time            `json:"lastTransitionTime,omitempty"`
	LastUpdateTime     metav1.Time            `json:"lastUpdateTime,omitempty"`
}

type ModelList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`

	Items []Model `json:"items"`
}

func addToScheme(scheme *runtime.Scheme) error {
	scheme.AddKnownTypes(groupVersion, &Model{}, &ModelList{})
	metav1.AddToGroupVersion(scheme, groupVersion)
	return nil
}

func (m *Model) wantedReplicas() int32 {
	if m.Spec.Suspend {
		return 0
	}
	if m.Spec.Replicas == nil {
		return 1
	}
	return *m.Spec.Replicas
}

// What controller-gen would write.

func (in *ModelSpec) DeepCopyInto(out *ModelSpec) {
	*out = *in
	if in.Replicas != nil {
		out.Replicas = new(int32)
		*out.Replicas = *in.Replicas
	}
	if in.ImagePullSecrets != nil {
		out.ImagePullSecrets = append([]corev1.LocalObjectReference(nil), in.ImagePullSecrets...)
	}
	in.Resources.DeepCopyInto(&out.Resources)
	if in.RuntimeClassName != nil {
		out.RuntimeClassName = new(string)
		*out.RuntimeClassName = *in.RuntimeClassName
	}
	if in.ExtraEnv != nil {
		out.ExtraEnv = make([]corev1.EnvVar, len(in.ExtraEnv))
		for i := range in.ExtraEnv {
			in.ExtraEnv[i].DeepCopyInto(&out.ExtraEnv[i])
		}
	}
	if in.ExtraEnvFrom != nil {
		out.ExtraEnvFrom = make([]corev1.EnvFromSource, len(in.ExtraEnvFrom))
		for i := range in.ExtraEnvFrom {
			in.ExtraEnvFrom[i].DeepCopyInto(&out.ExtraEnvFrom[i])
		}
	}
}

func (in *ModelStatus) DeepCopyInto(out *ModelStatus) {
	*out = *in
	if in.Conditions != nil {
		out.Conditions = make([]Condition, len(in.Conditions))
		for i := range in.Conditions {
			out.Conditions[i] = in.Conditions[i]
			in.Conditions[i].LastTransitionTime.DeepCopyInto(&out.Conditions[i].LastTransitionTime)
			in.Conditions[i].LastUpdateTime.DeepCopyInto(&out.Conditions[i].LastUpdateTime)
		}
	}
}

func (in *Model) DeepCopyInto(out *Model) {
	*out = *in
	in.ObjectMeta.DeepCopyInto(&out.ObjectMeta)
	in.Spec.DeepCopyInto(&out.Spec)
	in.Status.DeepCopyInto(&out.Status)
}

func (in *Model) DeepCopy() *Model {
	out := new(Model)
	in.DeepCopyInto(out)
	return out
}

func (in *Model) DeepCopyObject() runtime.Object { return in.DeepCopy() }

func (in *ModelList) DeepCopyObject() runtime.Object {
	out := new(ModelList)
	*out = *in
	in.ListMeta.DeepCopyInto(&out.ListMeta)
	if in.Items != nil {
		out.Items = make([]Model, len(in.Items))
		for i := range in.Items {
			in.Items[i].DeepCopyInto(&out.Items[i])
		}
	}
	return out
}
