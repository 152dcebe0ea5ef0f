package main

import (
	"context"
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
)

const fieldManager = "go-controller"

type modelReconciler struct {
	client.Client
	settings settings
}

func (r *modelReconciler) setup(mgr ctrl.Manager, workers int) error {
	return ctrl.NewControllerManagedBy(mgr).
		For(&Model{}, builder.WithPredicates(predicate.GenerationChangedPredicate{})).
		Owns(&appsv1.Deployment{}).
		Owns(&corev1.Service{}).
		WithOptions(controller.Options{MaxConcurrentReconciles: workers}).
		Complete(r)
}

// Reconcile reads from the cache only, and writes only what differs.
func (r *modelReconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	var model Model
	if err := r.Get(ctx, req.NamespacedName, &model); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	if !model.DeletionTimestamp.IsZero() {
		return ctrl.Result{}, nil
	}
	deployment, err := r.ensureDeployment(ctx, &model)
	if err != nil {
		return ctrl.Result{}, fmt.Errorf("deployment: %w", err)
	}
	if err := r.ensureService(ctx, &model); err != nil {
		return ctrl.Result{}, fmt.Errorf("service: %w", err)
	}
	return ctrl.Result{}, r.updateStatus(ctx, &model, deployment)
}

func (r *modelReconciler) ensureDeployment(ctx context.Context, model *Model) (*appsv1.Deployment, error) {
	wanted := desiredDeployment(model, &r.settings)
	var found appsv1.Deployment
	err := r.Get(ctx, client.ObjectKeyFromObject(wanted), &found)
	if err != nil && !apierrors.IsNotFound(err) {
		return nil, err
	}
	if err == nil {
		if !metav1.IsControlledBy(&found, model) {
			return nil, fmt.Errorf("%s exists and is not this Model's", found.Name)
		}
		// DeepDerivative passes over what the API server has defaulted, but for numbers: those
		// are all said.
		if equality.Semantic.DeepDerivative(wanted.Labels, found.Labels) &&
			equality.Semantic.DeepDerivative(wanted.Spec, found.Spec) &&
			*wanted.Spec.Replicas == *found.Spec.Replicas {
			return &found, nil
		}
	}
	return &found, r.apply(ctx, wanted)
}

func (r *modelReconciler) ensureService(ctx context.Context, model *Model) error {
	wanted := desiredService(model)
	var found corev1.Service
	err := r.Get(ctx, client.ObjectKeyFromObject(wanted), &found)
	if err != nil && !apierrors.IsNotFound(err) {
		return err
	}
	if err == nil {
		if !metav1.IsControlledBy(&found, model) {
			return fmt.Errorf("%s exists and is not this Model's", found.Name)
		}
		if equality.Semantic.DeepDerivative(wanted.Labels, found.Labels) &&
			equality.Semantic.DeepDerivative(wanted.Spec, found.Spec) {
			return nil
		}
	}
	return r.apply(ctx, wanted)
}

// apply is server-side apply of a typed object without the members that are not ours to say.
func (r *modelReconciler) apply(ctx context.Context, object client.Object) error {
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(object)
	if err != nil {
		return err
	}
	delete(content, "status")
	config := client.ApplyConfigurationFromUnstructured(&unstructured.Unstructured{Object: content})
	return r.Apply(ctx, config, client.FieldOwner(fieldManager), client.ForceOwnership)
}

func (r *modelReconciler) updateStatus(ctx context.Context, model *Model, deployment *appsv1.Deployment) error {
	before := model.DeepCopy()
	computeStatus(model, deployment)
	if equality.Semantic.DeepEqual(before.Status, model.Status) {
		return nil
	}
	err := r.Status().Patch(ctx, model, client.MergeFrom(before), client.FieldOwner(fieldManager))
	return client.IgnoreNotFound(err)
}

func computeStatus(model *Model, deployment *appsv1.Deployment) {
	wanted, status := model.wantedReplicas(), &model.Status
	status.ObservedGeneration = model.Generation
	status.Replicas = deployment.Status.Replicas
	status.ReadyReplicas = deployment.Status.ReadyReplicas
	status.AvailableReplicas = deployment.Status.AvailableReplicas
	status.UnavailableReplicas = deployment.Status.UnavailableReplicas
	status.Image = fullImage(model.Spec.Image)
	status.URL = fmt.Sprintf("http://%s.%s:%d", childName(model), model.Namespace, ollamaPort)
	switch {
	case wanted == 0:
		status.Phase = "Asleep"
		setCondition(model, "Available", false, "Asleep", "no replicas are wanted")
	case status.AvailableReplicas > 0:
		status.Phase = "Ready"
		setCondition(model, "Available", true, "ModelAnswers", fmt.Sprintf(
			"%d of %d replicas have the model loaded and answer", status.AvailableReplicas, wanted))
	default:
		status.Phase = "Pending"
		setCondition(model, "Available", false, "NotReady", "no replica has the model loaded yet")
	}
	if status.AvailableReplicas >= wanted && status.Replicas == wanted &&
		deployment.Status.UpdatedReplicas >= wanted &&
		deployment.Status.ObservedGeneration >= deployment.Generation {
		setCondition(model, "Progressing", true, "Complete", "all replicas are up to date")
	} else {
		setCondition(model, "Progressing", true, "RollingOut", "replicas are being brought up to date")
	}
	setReplicaFailure(model, deployment)
	if status.ReadyReplicas > 0 {
		setCondition(model, "Pulled", true, "Pulled", "the weights are on the nodes that need them")
	}
}

func setReplicaFailure(model *Model, deployment *appsv1.Deployment) {
	for _, condition := range deployment.Status.Conditions {
		if condition.Type == appsv1.DeploymentReplicaFailure && condition.Status == corev1.ConditionTrue {
			setCondition(model, "ReplicaFailure", true, condition.Reason, condition.Message)
			return
		}
	}
	setCondition(model, "ReplicaFailure", false, "AsExpected", "pods can be made")
}

func setCondition(model *Model, kind string, holds bool, reason, message string) {
	now := metav1.Now().Rfc3339Copy()
	wanted := Condition{Type: kind, Status: metav1.ConditionFalse, Reason: reason, Message: message,
		ObservedGeneration: model.Generation, LastTransitionTime: now, LastUpdateTime: now}
	if holds {
		wanted.Status = metav1.ConditionTrue
	}
	for i := range model.Status.Conditions {
		had := &model.Status.Conditions[i]
		if had.Type != kind {
			continue
		}
		if had.Status == wanted.Status {
			wanted.LastTransitionTime = had.LastTransitionTime
			if had.Reason == reason && had.Message == message &&
				had.ObservedGeneration == model.Generation {
				return
			}
		}
		*had = wanted
		return
	}
	model.Status.Conditions = append(model.Status.Conditions, wanted)
}
