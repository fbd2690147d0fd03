"""PLACEHOLDER trace"""
